"""Sites: a tree of places."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db import models
from django.db.models.functions import Lower

from engine.models import Model
from tenants.sites import rules


class SiteQuerySet(models.QuerySet["Site"]):
    """Sites of the organization."""

    def beneath(self, site: Site) -> SiteQuerySet:
        """The site itself and everything under it."""
        return self.filter(path__startswith=site.path)


@models.TextField.register_lookup
class StartsWithAny(models.Lookup):
    """`path__startswithany=[...]`: one operator and one parameter, however many prefixes there are."""

    lookup_name = "startswithany"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        path, parameters = self.process_lhs(compiler, connection)
        return f"{path} ^@ ANY(%s)", [*parameters, self.rhs]


class Site(Model):
    """A place of the organization: a country, a branch, a floor. Devices stand at sites."""

    id_prefix: ClassVar[str] = "site"
    privileges: ClassVar[frozenset[str]] = frozenset({"UPDATE"})

    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    name = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=64, blank=True)
    """IANA name, or empty: then the parent's, at the top the organization's."""
    path = models.TextField(editable=False)
    """The ids from the top down to this site, see `rules.path_of`."""
    updated_at = models.DateTimeField()

    objects = SiteQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint("parent", Lower("name"), name="sites_site_name", nulls_distinct=False),
            models.UniqueConstraint(fields=["path"], name="sites_site_path"),
            models.CheckConstraint(condition=~models.Q(name=""), name="sites_site_named"),
            models.CheckConstraint(condition=~models.Q(parent=models.F("id")), name="sites_site_not_own_parent"),
        ]

    @property
    def location(self) -> rules.Location:
        """Where this site is, for an access decision."""
        return rules.Location(site_path=self.path)

    @property
    def ancestor_ids(self) -> list[UUID]:
        """The sites above this one, from the top down, without itself."""
        return rules.ids_of(self.path)[:-1]
