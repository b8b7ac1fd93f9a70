"""What the API takes and gives about people. Vectors come in and never go out."""

from __future__ import annotations

import struct
from typing import Any

from rest_framework import serializers

from engine.api.fields import OutputSerializer, StrictSerializer, TextField, TypeIdField, VectorField
from tenants.identity.models import Modality, Outcome, PersonStatus, Purpose, TemplateState


class ModelNameField(serializers.RegexField):
    """The name of the model that made a vector; vectors of different models are never compared."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(r"^[a-z0-9][a-z0-9._-]{0,63}$", max_length=64, **kwargs)


class SimilarityField(serializers.FloatField):
    """A cosine similarity above 0, at most 1, as a JSON number."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0.01, max_value=1.0, **kwargs)

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return float(super().to_internal_value(data))


class CreatePerson(StrictSerializer):
    external_reference = TextField(max_length=128, required=False, help_text="Your own key for this person, unique.")
    display_name = TextField(required=False, allow_blank=True)


class UpdatePerson(StrictSerializer):
    external_reference = TextField(max_length=128, required=False, allow_null=True)
    display_name = TextField(required=False, allow_blank=True)


class PersonBody(OutputSerializer):
    id = TypeIdField("per")
    external_reference = serializers.CharField(allow_null=True)
    display_name = serializers.CharField(allow_blank=True)
    status = serializers.ChoiceField(PersonStatus.choices)
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    erased_at = serializers.DateTimeField(allow_null=True)


class PersonFilter(StrictSerializer):
    external_reference = serializers.CharField(max_length=128, required=False)


class GrantConsent(StrictSerializer):
    person = TypeIdField("per")
    purpose = serializers.ChoiceField(Purpose.choices)
    evidence = TextField(help_text="Where the agreement itself is kept, for example a document's id.")


class ConsentBody(OutputSerializer):
    id = TypeIdField("con")
    person = TypeIdField("per", source="person_id")
    purpose = serializers.ChoiceField(Purpose.choices)
    evidence = serializers.CharField()
    granted_at = serializers.DateTimeField()
    withdrawn_at = serializers.DateTimeField(allow_null=True)


class OfPerson(StrictSerializer):
    person = TypeIdField("per", required=False)


class _Biometric(StrictSerializer):
    modality = serializers.ChoiceField(Modality.choices)
    model = ModelNameField(help_text="The model that made the vector.")
    vector = VectorField(help_text="64 to 2,048 finite numbers; kept as float32, sealed, never returned.")

    def validate_vector(self, value: list[float]) -> bytes:
        return struct.pack(f"<{len(value)}f", *value)


class EnrollTemplate(_Biometric):
    person = TypeIdField("per")


class TemplateBody(OutputSerializer):
    id = TypeIdField("tpl")
    person = TypeIdField("per", source="person_id")
    modality = serializers.ChoiceField(Modality.choices)
    model = serializers.CharField()
    version = serializers.IntegerField()
    dimensions = serializers.IntegerField()
    state = serializers.ChoiceField(TemplateState.choices)
    created_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True)


class Verify(_Biometric):
    person = TypeIdField("per", help_text="Whom the probe is said to be of.")


class VerificationBody(OutputSerializer):
    id = TypeIdField("ver")
    person = TypeIdField("per", source="person_id")
    modality = serializers.ChoiceField(Modality.choices)
    model = serializers.CharField()
    outcome = serializers.ChoiceField([Outcome.MATCH.value, Outcome.NO_MATCH.value])
    score = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField()
    created_at = serializers.DateTimeField()


class Identify(_Biometric):
    pass


class IdentificationBody(OutputSerializer):
    id = TypeIdField("idn")
    person = TypeIdField("per", source="person_id", allow_null=True)
    modality = serializers.ChoiceField(Modality.choices)
    model = serializers.CharField()
    outcome = serializers.ChoiceField(Outcome.choices)
    score = serializers.FloatField(allow_null=True)
    threshold = serializers.FloatField()
    gallery_size = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class SetThreshold(StrictSerializer):
    modality = serializers.ChoiceField(Modality.choices)
    model = ModelNameField()
    verification_min = SimilarityField()
    identification_min = SimilarityField()


class ThresholdBody(OutputSerializer):
    id = TypeIdField("thr")
    modality = serializers.ChoiceField(Modality.choices)
    model = serializers.CharField()
    verification_min = serializers.FloatField()
    identification_min = serializers.FloatField()
    updated_at = serializers.DateTimeField()
