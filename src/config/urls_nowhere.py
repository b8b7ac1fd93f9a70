"""The URLs of a request that no host claimed. It never gets this far: see engine.tenancy.routing."""

urlpatterns: list[object] = []
