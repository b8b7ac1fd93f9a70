"""Runs Keystead on one machine: embedded services, the product's processes, the provider sandbox, the demo."""
