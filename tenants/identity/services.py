"""Verbs on people, consents and templates. What touches the matcher does so outside transactions."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Max

from engine import ids, outbox
from engine.clock import Clock, utc_now
from engine.errors import Conflict, DomainError, NotFound
from engine.principals import SYSTEM, Principal
from shared.organizations import limits
from tenants.audit import services as audit
from tenants.events import services as events
from tenants.identity import rules
from tenants.identity.adapters import matcher
from tenants.identity.events import (
    ConsentGranted,
    ConsentWithdrawn,
    PersonCreated,
    PersonErased,
    TemplateEnrolled,
    TemplateRetired,
)
from tenants.identity.models import (
    Consent,
    Identification,
    MatchThreshold,
    Person,
    PersonStatus,
    Purpose,
    Template,
    TemplateState,
    Verification,
)
from tenants.identity.rules import Candidate
from tenants.keyring import services as keyring

CANDIDATES = 5
_FINISH = "identity.finish_erasure"


class ConsentMissing(DomainError):
    """The person has not agreed to this, or has withdrawn the agreement."""

    code = "consent_missing"
    status = 409
    title = "There is no current consent"


class PersonErasedError(DomainError):
    """Nothing can be added to a person who was erased."""

    code = "person_erased"
    status = 409
    title = "This person was erased"


class ReferenceTaken(Conflict):
    code = "external_reference_taken"
    title = "Another person has this external reference"


class TemplateMissing(DomainError):
    """There is no active template of this modality and model to compare with."""

    code = "template_missing"
    status = 409
    title = "The person has no such template"


class CandidateGone(DomainError):
    """Between the search and the decision the person, a consent or the template has changed."""

    code = "candidate_gone"
    status = 409
    title = "The candidate is no longer valid"


def create_person(
    *, external_reference: str | None = None, display_name: str = "", by: Principal, clock: Clock = utc_now
) -> Person:
    """Add a person. Raises ReferenceTaken, PlanLimitReached."""
    limits.of_plan()
    try:
        with transaction.atomic():
            limits.hold("people", count=Person.objects.filter(status=PersonStatus.ACTIVE).count)
            person = Person.objects.create(
                external_reference=external_reference, display_name=display_name, created_at=clock()
            )
            events.record(event=PersonCreated(person=person.public_id), clock=clock)
            audit.write(action="person.create", actor=by, resource=person.public_id)
    except IntegrityError as error:
        raise ReferenceTaken("Choose another, or update that person.", field="external_reference") from error
    return person


def update_person(*, person_id: UUID, changes: dict[str, Any], by: Principal) -> Person:
    """Change `external_reference` or `display_name`. Raises ReferenceTaken, PersonErasedError."""
    try:
        with transaction.atomic():
            person = _locked(person_id)
            for name, value in changes.items():
                setattr(person, name, value)
            person.save(update_fields=[*changes, "updated_at"])
            audit.write(action="person.update", actor=by, resource=person.public_id, detail={"fields": sorted(changes)})
    except IntegrityError as error:
        raise ReferenceTaken("Choose another, or update that person.", field="external_reference") from error
    return person


def grant_consent(*, person_id: UUID, purpose: str, evidence: str, by: Principal, clock: Clock = utc_now) -> Consent:
    """Record a person's agreement. A current one for the same purpose is returned as it is."""
    with transaction.atomic():
        person = _locked(person_id)
        current = person.consents.current().filter(purpose=purpose).first()
        if current:
            return current
        consent = Consent.objects.create(person=person, purpose=purpose, evidence=evidence, granted_at=clock())
        events.record(
            event=ConsentGranted(person=person.public_id, consent=consent.public_id, purpose=purpose), clock=clock
        )
        audit.write(action="consent.grant", actor=by, resource=consent.public_id, detail={"purpose": purpose})
    return consent


def withdraw_consent(*, consent_id: UUID, by: Principal, clock: Clock = utc_now) -> Consent:
    """End an agreement. Once this returns, the matcher that answered has let go of the person.

    The row decides, and every decision reads it again, so a matcher that cannot be reached delays
    nothing but its own memory.
    """
    with transaction.atomic():
        owner = Consent.objects.filter(id=consent_id).values_list("person_id", flat=True).first()
        if owner is None:
            raise NotFound
        # The person before the consent, everywhere: an erasure locks in this order too, and a checkout
        # that is being decided holds the person.
        Person.objects.select_for_update().get(id=owner)
        consent = Consent.objects.select_for_update().get(id=consent_id)
        if consent.withdrawn_at is None:
            _withdraw(consent, clock=clock)
            audit.write(action="consent.withdraw", actor=by, resource=consent.public_id)
    if consent.purpose == Purpose.IDENTIFY:
        matcher.evict(person_id=consent.person_id)
    return consent


def enroll_template(
    *,
    template_id: UUID,
    person_id: UUID,
    modality: str,
    model: str,
    vector: bytes,
    by: Principal,
    clock: Clock = utc_now,
) -> Template:
    """Seal a reference and make it the person's active one for its modality and model.

    `template_id` names the row to be, so that a repeat finds what an earlier call has made. Raises
    ConsentMissing without a current consent to `identify`. The vector leaves this process once, to
    the matcher, and comes back sealed.
    """
    if made := Template.objects.filter(id=template_id).first():
        return made
    person = Person.objects.filter(id=person_id).first()
    _usable(person)
    _consenting(person_id, Purpose.IDENTIFY)
    mine = Template.objects.filter(person_id=person_id, modality=modality, model=model)
    version = (mine.aggregate(latest=Max("version"))["latest"] or 0) + 1
    key = keyring.biometric_person_key(person_id=person_id)
    sealed = matcher.seal(
        person_id=person_id, modality=modality, model=model, version=version, person_key=key, vector=vector
    )
    try:
        with transaction.atomic():
            _usable(_locked(person_id))
            _consenting(person_id, Purpose.IDENTIFY)
            if key is None:
                keyring.store_biometric_person_key(person_id=person_id, key=sealed.person_key)
            for old in mine.active():
                _retire(old, clock=clock)
            template = Template.objects.create(
                id=template_id,
                person_id=person_id,
                modality=modality,
                model=model,
                version=version,
                dimensions=len(vector) // rules.FLOAT_BYTES,
                sealed=sealed.template,
            )
            events.record(
                event=TemplateEnrolled(
                    person=ids.encode(Person.id_prefix, person_id),
                    template=template.public_id,
                    modality=modality,
                    model=model,
                    version=version,
                ),
                clock=clock,
            )
            audit.write(action="template.enroll", actor=by, resource=template.public_id)
    except IntegrityError as error:
        raise Conflict("Another enrolment of this person finished first; send it again.") from error
    matcher.refresh(person_id=person_id)
    return template


def retire_template(*, template_id: UUID, by: Principal, clock: Clock = utc_now) -> Template:
    """Stop recognising a person by this template."""
    with transaction.atomic():
        owner = Template.objects.filter(id=template_id).values_list("person_id", flat=True).first()
        if owner is None:
            raise NotFound
        Person.objects.select_for_update().get(id=owner)
        template = Template.objects.select_for_update().get(id=template_id)
        if template.state == TemplateState.ACTIVE:
            _retire(template, clock=clock)
            audit.write(action="template.retire", actor=by, resource=template.public_id)
    matcher.evict(person_id=template.person_id)
    return template


def erase_person(*, person_id: UUID, by: Principal, clock: Clock = utc_now) -> Person:
    """Make a person's templates useless for ever, and forget who the person was.

    First the row says that it is being erased, so that nobody matches it; then the key goes, which
    the keyring writes outside the database before it does so; last the row says that it is done.
    A process that dies in between is followed by the worker, from the message of the first step.
    """
    with transaction.atomic():
        person = Person.objects.select_for_update().filter(id=person_id).first()
        if person is None:
            raise NotFound
        if person.status == PersonStatus.ACTIVE:
            _begin_erasure(person, by=by, clock=clock)
            outbox.send(name=_FINISH, payload={"person_id": str(person_id)})
    return finish_erasure(person_id=person_id, clock=clock)


def replay_erasures(*, clock: Clock = utc_now) -> list[UUID]:
    """After a restore: erase again everyone whom the journal outside the database names; returns who they are.

    The keys go first, and the restored organization must not open before this has returned. What else an
    erasure does is finished by the worker, as after any interrupted one.
    """
    people = keyring.replay_erasures()
    with transaction.atomic():
        for person in Person.objects.select_for_update().filter(id__in=people).exclude(status=PersonStatus.ERASED):
            _begin_erasure(person, by=SYSTEM, clock=clock)
        # The message that would finish these is not in a backup.
        for person_id in Person.objects.filter(status=PersonStatus.ERASING).values_list("id", flat=True):
            outbox.send(name=_FINISH, payload={"person_id": str(person_id)})
    return people


def finish_erasure(*, person_id: UUID, clock: Clock = utc_now) -> Person:
    """Delete the person's keys and close the erasure. Safe to repeat; calls the matcher."""
    keyring.erase_person_keys(person_id=person_id)
    with transaction.atomic():
        person = Person.objects.select_for_update().get(id=person_id)
        if person.status == PersonStatus.ERASING:
            person.status, person.erased_at = PersonStatus.ERASED, clock()
            person.save()
    return person


def verify(
    *,
    verification_id: UUID,
    person_id: UUID,
    modality: str,
    model: str,
    vector: bytes,
    by: Principal,
    clock: Clock = utc_now,
) -> Verification:
    """Compare a probe with one person (1:1). Raises ConsentMissing, TemplateMissing.

    A repeat with the same `verification_id` gets the first one's result.
    """
    if made := Verification.objects.filter(id=verification_id).first():
        return made
    _usable(Person.objects.filter(id=person_id).first())
    _consenting(person_id, Purpose.IDENTIFY)
    threshold = threshold_of(modality=modality, model=model).verification_min
    found = matcher.verify(person_id=person_id, modality=modality, model=model, vector=vector)
    if found is None:
        raise TemplateMissing(f"Enrol a {modality} template of model {model} first.")
    with transaction.atomic():
        matched = found.score >= threshold
        if matched:
            confirm_candidate(candidate=found, purposes={Purpose.IDENTIFY})
        row = Verification.objects.create(
            id=verification_id,
            person_id=person_id,
            template_id=found.template_id,
            modality=modality,
            model=model,
            outcome="match" if matched else "no_match",
            score=found.score,
            threshold=threshold,
            created_at=clock(),
        )
        audit.write(action="verification.create", actor=by, resource=row.public_id)
    return row


def search(*, modality: str, model: str, vector: bytes, limit: int = CANDIDATES) -> matcher.Search:
    """Ask the matcher who resembles a probe (1:N). Call outside any transaction; decide afterwards."""
    return matcher.identify(modality=modality, model=model, vector=vector, limit=limit)


def identify(
    *, identification_id: UUID, modality: str, model: str, vector: bytes, by: Principal, clock: Clock = utc_now
) -> Identification:
    """Search and decide by the organization's threshold; the decision is a row.

    A repeat with the same `identification_id` gets the first one's result.
    """
    if made := Identification.objects.filter(id=identification_id).first():
        return made
    found = search(modality=modality, model=model, vector=vector)
    threshold = rules.identification_threshold(
        base=threshold_of(modality=modality, model=model).identification_min, gallery_size=found.gallery_size
    )
    decision = rules.decide(candidates=found.candidates, threshold=threshold)
    with transaction.atomic():
        outcome: str = decision.outcome
        if outcome == "match" and decision.best is not None:
            try:
                confirm_candidate(candidate=decision.best, purposes={Purpose.IDENTIFY})
            except CandidateGone:
                outcome = "no_match"
        named = decision.best if outcome == "match" else None
        row = Identification.objects.create(
            id=identification_id,
            person_id=named.person_id if named else None,
            template_id=named.template_id if named else None,
            modality=modality,
            model=model,
            outcome=outcome,
            score=decision.best.score if decision.best else None,
            runner_up_score=decision.runner_up.score if decision.runner_up else None,
            threshold=threshold,
            gallery_size=found.gallery_size,
            created_at=clock(),
        )
        audit.write(action="identification.create", actor=by, resource=row.public_id, detail={"outcome": outcome})
    return row


def confirm_candidate(*, candidate: Candidate, purposes: set[str]) -> Person:
    """The candidate's person, read again and locked in the transaction that decides.

    Raises CandidateGone when the person, the template's version or a consent to any of `purposes`
    is no longer what the search saw.
    """
    person = Person.objects.select_for_update().active().filter(id=candidate.person_id).first()
    if person is None:
        raise CandidateGone("The person is no longer active.")
    still = Template.objects.active().filter(
        id=candidate.template_id, person_id=candidate.person_id, version=candidate.template_version
    )
    if not still.exists():
        raise CandidateGone("The template was replaced or retired.")
    given = set(Consent.objects.current().filter(person=person).values_list("purpose", flat=True))
    if missing := sorted({str(one) for one in purposes} - given):
        raise CandidateGone(f"There is no current consent to {', '.join(missing)}.")
    return person


def threshold_of(*, modality: str, model: str) -> MatchThreshold:
    """The organization's thresholds for a modality and model, or the platform's defaults (unsaved)."""
    return MatchThreshold.objects.filter(modality=modality, model=model).first() or MatchThreshold(
        modality=modality,
        model=model,
        verification_min=rules.VERIFICATION_MIN_DEFAULT,
        identification_min=rules.IDENTIFICATION_MIN_DEFAULT,
    )


def set_threshold(
    *, modality: str, model: str, verification_min: float, identification_min: float, by: Principal
) -> MatchThreshold:
    """Set what is alike enough for one modality and model."""
    with transaction.atomic():
        row, _ = MatchThreshold.objects.update_or_create(
            modality=modality,
            model=model,
            defaults={"verification_min": verification_min, "identification_min": identification_min},
        )
        audit.write(
            action="threshold.set",
            actor=by,
            resource=row.public_id,
            detail={"verification_min": verification_min, "identification_min": identification_min},
        )
    return row


def _begin_erasure(person: Person, *, by: Principal, clock: Clock) -> None:
    """Forget who a locked person is, so that nobody matches them from here on. Nothing for one who is being erased."""
    if person.status != PersonStatus.ACTIVE:
        return
    person.status = PersonStatus.ERASING
    person.external_reference, person.display_name = None, ""
    person.save()
    for template in person.templates.active():
        _retire(template, clock=clock)
    for consent in person.consents.current():
        _withdraw(consent, clock=clock)
    events.record(event=PersonErased(person=person.public_id), clock=clock)
    audit.write(action="person.erase", actor=by, resource=person.public_id)


def _locked(person_id: UUID) -> Person:
    person = Person.objects.select_for_update().filter(id=person_id).first()
    return _usable(person)


def _usable(person: Person | None) -> Person:
    if person is None:
        raise NotFound
    if person.status != PersonStatus.ACTIVE:
        raise PersonErasedError("Create a new person, with a new consent.")
    return person


def _consenting(person_id: UUID, purpose: str) -> None:
    if not Consent.objects.current().filter(person_id=person_id, purpose=purpose).exists():
        raise ConsentMissing(f"Record the person's consent to {purpose} first.", purpose=str(purpose))


def _retire(template: Template, *, clock: Clock) -> None:
    template.state, template.retired_at = TemplateState.RETIRED, clock()
    template.save(update_fields=["state", "retired_at"])
    person = ids.encode(Person.id_prefix, template.person_id)
    events.record(event=TemplateRetired(person=person, template=template.public_id), clock=clock)


def _withdraw(consent: Consent, *, clock: Clock) -> None:
    consent.withdrawn_at = clock()
    consent.save(update_fields=["withdrawn_at"])
    events.record(
        event=ConsentWithdrawn(
            person=ids.encode(Person.id_prefix, consent.person_id), consent=consent.public_id, purpose=consent.purpose
        ),
        clock=clock,
    )
