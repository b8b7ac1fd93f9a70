"""The caller that no authentication recognised."""


class Anonymous:
    """Stands for nobody: DRF's ``request.user`` of an anonymous request. Has no principal."""

    principal = None
    is_authenticated = False
    is_active = False
    is_anonymous = True
    pk = None
