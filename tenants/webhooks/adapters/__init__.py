"""How a delivery leaves the house."""
