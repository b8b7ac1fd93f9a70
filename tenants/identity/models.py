"""People, what they agreed to, and the sealed references that they are recognised by."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from engine.models import Model
from engine.tenancy.privileges import UPDATE


class PersonStatus(models.TextChoices):
    ACTIVE = "active"
    ERASING = "erasing"
    ERASED = "erased"


class Purpose(models.TextChoices):
    IDENTIFY = "identify"
    PAY = "pay"


class Modality(models.TextChoices):
    FACE = "face"
    FINGERPRINT = "fingerprint"
    IRIS = "iris"
    PALM = "palm"
    VOICE = "voice"


class PersonQuerySet(models.QuerySet["Person"]):
    def active(self) -> PersonQuerySet:
        return self.filter(status=PersonStatus.ACTIVE)


class Person(Model):
    """A subject that the organization enrolled. Erasure keeps the row, so that what points to it
    still has a target, and takes away everything that says who it was."""

    id_prefix = "per"
    privileges = frozenset({UPDATE})

    external_reference = models.CharField(max_length=128, null=True, unique=True)  # noqa: DJ001 - unique, so absent must be NULL
    display_name = models.CharField(max_length=200, blank=True, default="")
    status = models.CharField(max_length=16, choices=PersonStatus, default=PersonStatus.ACTIVE)
    updated_at = models.DateTimeField(auto_now=True)
    erased_at = models.DateTimeField(null=True)

    objects = PersonQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(status__in=PersonStatus.values), name="person_status_known"),
            models.CheckConstraint(
                condition=Q(status="erased", erased_at__isnull=False)
                | (~Q(status="erased") & Q(erased_at__isnull=True)),
                name="person_erased_at_when_erased",
            ),
            models.CheckConstraint(
                condition=Q(status="active") | Q(display_name="", external_reference__isnull=True),
                name="person_nameless_once_erased",
            ),
        ]


class ConsentQuerySet(models.QuerySet["Consent"]):
    def current(self) -> ConsentQuerySet:
        return self.filter(withdrawn_at__isnull=True)


class Consent(Model):
    """A person's agreement to one purpose, from its grant to its withdrawal."""

    id_prefix = "con"
    privileges = frozenset({UPDATE})

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="consents")
    purpose = models.CharField(max_length=16, choices=Purpose)
    # Where the agreement itself is kept: a form's version, a document's id. Never the document.
    evidence = models.CharField(max_length=200)
    granted_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True)

    objects = ConsentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(purpose__in=Purpose.values), name="consent_purpose_known"),
            models.UniqueConstraint(
                fields=["person", "purpose"], condition=Q(withdrawn_at__isnull=True), name="consent_one_current"
            ),
            models.CheckConstraint(
                condition=Q(withdrawn_at__isnull=True) | Q(withdrawn_at__gte=models.F("granted_at")),
                name="consent_withdrawn_after_grant",
            ),
        ]


class TemplateState(models.TextChoices):
    ACTIVE = "active"
    RETIRED = "retired"


class TemplateQuerySet(models.QuerySet["Template"]):
    def active(self) -> TemplateQuerySet:
        return self.filter(state=TemplateState.ACTIVE)


class Template(Model):
    """A biometric reference (ISO/IEC 2382-37), sealed under its person's key by the matcher."""

    id_prefix = "tpl"
    privileges = frozenset({UPDATE})

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="templates", db_index=False)
    modality = models.CharField(max_length=16, choices=Modality)
    model = models.CharField(max_length=64)
    version = models.PositiveIntegerField()
    dimensions = models.PositiveSmallIntegerField()
    sealed = models.BinaryField()
    state = models.CharField(max_length=16, choices=TemplateState, default=TemplateState.ACTIVE)
    retired_at = models.DateTimeField(null=True)

    objects = TemplateQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(modality__in=Modality.values), name="template_modality_known"),
            models.CheckConstraint(condition=Q(state__in=TemplateState.values), name="template_state_known"),
            models.CheckConstraint(
                condition=Q(dimensions__gte=64, dimensions__lte=2048), name="template_dimensions_in_range"
            ),
            models.UniqueConstraint(fields=["person", "modality", "model", "version"], name="template_version_unique"),
            models.UniqueConstraint(
                fields=["person", "modality", "model"], condition=Q(state="active"), name="template_one_active"
            ),
        ]
        indexes = [
            # The matcher loads one gallery: every active template of a modality and model.
            models.Index(fields=["modality", "model"], condition=Q(state="active"), name="template_gallery"),
        ]


class MatchThreshold(Model):
    """How alike is alike enough, for one modality and model. Cosine similarity, 0 to 1."""

    id_prefix = "thr"
    privileges = frozenset({UPDATE})

    modality = models.CharField(max_length=16, choices=Modality)
    model = models.CharField(max_length=64)
    verification_min = models.FloatField()
    identification_min = models.FloatField()
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(modality__in=Modality.values), name="threshold_modality_known"),
            models.UniqueConstraint(fields=["modality", "model"], name="threshold_one_per_model"),
            models.CheckConstraint(
                condition=Q(verification_min__gt=0, verification_min__lte=1, identification_min__gt=0)
                & Q(identification_min__lte=1),
                name="threshold_is_a_similarity",
            ),
        ]


class Outcome(models.TextChoices):
    MATCH = "match"
    NO_MATCH = "no_match"
    AMBIGUOUS = "ambiguous"


class Verification(Model):
    """A 1:1 comparison that was made: against whom, how alike, what was decided. Never the probe."""

    id_prefix = "ver"

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="verifications")
    template = models.ForeignKey(Template, on_delete=models.PROTECT, null=True, related_name="+")
    modality = models.CharField(max_length=16, choices=Modality)
    model = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, choices=Outcome)
    score = models.FloatField(null=True)
    threshold = models.FloatField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(outcome__in=("match", "no_match")), name="verification_outcome_known"),
        ]


class Identification(Model):
    """A 1:N search that was made: over how many, who was found if anybody, how sure."""

    id_prefix = "idn"

    person = models.ForeignKey(Person, on_delete=models.PROTECT, null=True, related_name="identifications")
    template = models.ForeignKey(Template, on_delete=models.PROTECT, null=True, related_name="+")
    modality = models.CharField(max_length=16, choices=Modality)
    model = models.CharField(max_length=64)
    outcome = models.CharField(max_length=16, choices=Outcome)
    score = models.FloatField(null=True)
    runner_up_score = models.FloatField(null=True)
    threshold = models.FloatField()
    gallery_size = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(outcome__in=Outcome.values), name="identification_outcome_known"),
            models.CheckConstraint(
                condition=Q(outcome="match", person__isnull=False) | (~Q(outcome="match") & Q(person__isnull=True)),
                name="identification_person_when_matched",
            ),
        ]
