"""The endpoints. docs/matcher.md describes them to callers."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header

from engine import ids, service_tokens
from engine.keys import tree
from engine.keys.kms import Kms
from engine.keys.tree import OrganizationKeys, PersonKeyRow
from engine.service_tokens import MATCHER_AUDIENCE, InvalidServiceToken, OrganizationClaims
from matcher import bodies
from matcher import database as db
from matcher.connections import Connection
from matcher.database import Database
from matcher.library import Candidate, Library, as_vector
from matcher.opening import Opener, explained
from matcher.problems import Problem

Answer = dict[str, Any]


def router(
    *,
    database: Database,
    kms: Kms,
    keys: OrganizationKeys,
    library: Library,
    public_keys: tuple[Any, ...],
) -> APIRouter:
    """All endpoints that need a service token."""
    caller = Depends(_authenticate(public_keys))
    routes = APIRouter(prefix="/v1")
    _add_keys(routes, caller, database=database, kms=kms, keys=keys)
    _add_templates(routes, caller, database=database, keys=keys, library=library)
    _add_matching(routes, caller, library=library)
    return routes


def _authenticate(public_keys: tuple[Any, ...]) -> Callable[..., OrganizationClaims]:
    def organization(authorization: Annotated[str, Header()] = "") -> OrganizationClaims:
        scheme, _, token = authorization.partition(" ")
        try:
            if scheme.lower() != "bearer":
                raise InvalidServiceToken("no bearer token")
            return service_tokens.verify(token.strip(), public_keys=public_keys, audience=MATCHER_AUDIENCE)
        except InvalidServiceToken as error:
            raise Problem(401, "invalid_service_token", f"Not authorised: {error}.") from None

    return organization


def _add_keys(routes: APIRouter, caller: Any, *, database: Database, kms: Kms, keys: OrganizationKeys) -> None:
    @routes.post("/organization-keys", status_code=201)
    def new_organization_key(body: bodies.NewOrganizationKey, organization: OrganizationClaims = caller) -> Answer:
        with explained():
            made = tree.new_organization_key(
                kms, key_id=body.key_id, organization_id=organization.id, purpose="biometric", version=body.version
            )
        return {
            "key_id": str(made.id),
            "version": made.version,
            "kms_key_id": made.kms_key_id,
            "wrapped": _text(made.wrapped),
        }

    @routes.post("/person-keys", status_code=201)
    def new_person_key(body: bodies.NewPersonKey, organization: OrganizationClaims = caller) -> Answer:
        with database.of(organization) as connection:
            rows = db.organization_keys(connection, organization)
        version = body.organization_key_version
        with explained(), Opener(keys, rows) as opener:
            made = opener.new_person_key(key_id=body.key_id, person_id=body.person_id, key_version=version)
        return {"person_id": str(made.person_id), **_stored(made, version)}

    @routes.post("/person-keys/rewrap")
    def rewrap(body: bodies.Rewrap, organization: OrganizationClaims = caller) -> Answer:
        with database.of(organization) as connection:
            rows = db.organization_keys(connection, organization)
        moved = []
        with explained(), Opener(keys, rows) as opener:
            for key in body.person_keys:
                old = _person_key(organization, key.key_id, key.person_id, key.wrapped)
                moved.append(opener.rewrap(old, from_version=body.from_version, to_version=body.to_version))
        return {
            "person_keys": [
                {"key_id": str(key.id), "person_id": str(key.person_id), "wrapped": _text(key.wrapped)} for key in moved
            ]
        }


def _add_templates(
    routes: APIRouter, caller: Any, *, database: Database, keys: OrganizationKeys, library: Library
) -> None:
    @routes.post("/seal")
    def seal(body: bodies.Seal, organization: OrganizationClaims = caller) -> Answer:
        dimensions = len(as_vector(body.vector))
        with database.of(organization) as connection:
            rows = db.organization_keys(connection, organization)
            _check_other_templates(connection, body, dimensions)
        active = rows.active.version
        with explained(), Opener(keys, rows) as opener:
            if body.person_key is None:
                version = active
                key = opener.new_person_key(key_id=ids.uuid7(), person_id=body.person_id, key_version=version)
            else:
                version = body.person_key.organization_key_version
                key = _person_key(organization, body.person_key.key_id, body.person_id, body.person_key.wrapped)
            sealed = opener.seal(
                body.vector,
                key=key,
                key_version=version,
                modality=body.modality,
                model=body.model,
                version=body.version,
            )
        return {"sealed": _text(sealed), "dimensions": dimensions, "person_key": _stored(key, version)}

    @routes.post("/refresh")
    def refresh(body: bodies.OfPerson, organization: OrganizationClaims = caller) -> Answer:
        return {"galleries": library.refresh(organization, person_id=body.person_id)}

    @routes.post("/evict")
    def evict(body: bodies.OfPerson, organization: OrganizationClaims = caller) -> Answer:
        return {"removed": library.evict(organization, person_id=body.person_id)}

    @routes.post("/drop")
    def drop(organization: OrganizationClaims = caller) -> Answer:
        library.drop(organization.id, reason="asked")
        return {}


def _add_matching(routes: APIRouter, caller: Any, *, library: Library) -> None:
    @routes.post("/verify")
    def verify(body: bodies.Verify, organization: OrganizationClaims = caller) -> Answer:
        found = library.verify(
            organization,
            person_id=body.person_id,
            shape=(body.modality, body.model),
            probe=as_vector(body.vector),
        )
        if found is None:
            raise Problem(404, "template_missing", "There is no template of this person to compare with.")
        answer = _candidate(found)
        del answer["person_id"]
        return answer

    @routes.post("/identify")
    def identify(body: bodies.Identify, organization: OrganizationClaims = caller) -> Answer:
        found = library.identify(
            organization, shape=(body.modality, body.model), probe=as_vector(body.vector), k=body.k
        )
        return {
            "candidates": [_candidate(each) for each in found.candidates],
            "gallery_size": found.gallery_size,
            "sequence": found.sequence,
        }


def _check_other_templates(connection: Connection, body: bodies.Seal, dimensions: int) -> None:
    """One model has one length of vectors: another would never be compared with anything."""
    expected = db.dimensions_of(connection, modality=body.modality, model=body.model)
    if expected not in (None, dimensions):
        raise Problem(
            422,
            "dimension_mismatch",
            f"Templates of this modality and model have {expected} dimensions, not {dimensions}.",
            field="vector",
        )


def _person_key(organization: OrganizationClaims, key_id: Any, person_id: Any, wrapped: bytes) -> PersonKeyRow:
    return PersonKeyRow(
        id=key_id, organization_id=organization.id, person_id=person_id, purpose="biometric", wrapped=wrapped
    )


def _stored(key: PersonKeyRow, version: int) -> Answer:
    return {"key_id": str(key.id), "organization_key_version": version, "wrapped": _text(key.wrapped)}


def _candidate(found: Candidate) -> Answer:
    return {
        "person_id": str(found.person_id),
        "template_id": str(found.template_id),
        "template_version": found.template_version,
        "score": found.score,
    }


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()
