-- fingerprint: 1c4c3566893ab308f9ed534260a2e16eb22c2857920101f2bf2dd7c6cbd223f2
CREATE TABLE access_app (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    redirect_uris text NOT NULL,
    post_logout_redirect_uris text NOT NULL,
    client_type character varying(32) NOT NULL,
    authorization_grant_type character varying(44) NOT NULL,
    skip_authorization boolean NOT NULL,
    updated timestamp with time zone NOT NULL,
    algorithm character varying(5) NOT NULL,
    allowed_origins text NOT NULL,
    registration_source character varying(32) NOT NULL,
    cimd_expires_at timestamp with time zone,
    client_id character varying(255) NOT NULL,
    client_secret character varying(64) NOT NULL,
    name character varying(120) NOT NULL,
    is_active boolean NOT NULL,
    secret_rotated_at timestamp with time zone,
    auth_method character varying(20) DEFAULT 'client_secret'::character varying NOT NULL,
    delegated_scopes text[] DEFAULT '{}'::text[] NOT NULL,
    grant_types text[] DEFAULT '{client_credentials}'::text[] NOT NULL,
    jwks jsonb DEFAULT '[]'::jsonb NOT NULL,
    CONSTRAINT access_app_client_id UNIQUE (client_id),
    CONSTRAINT access_app_pkey PRIMARY KEY (id)
);
CREATE TABLE accounts_user (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    password character varying(128) NOT NULL,
    last_login timestamp with time zone,
    email character varying(254) NOT NULL,
    display_name character varying(120) NOT NULL,
    is_active boolean NOT NULL,
    joined_at timestamp with time zone,
    CONSTRAINT accounts_user_email_lower CHECK (((email)::text = lower((email)::text))),
    CONSTRAINT accounts_user_email UNIQUE (email),
    CONSTRAINT accounts_user_pkey PRIMARY KEY (id)
);
CREATE TABLE access_authorization (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    scopes text[] NOT NULL,
    authenticated_at timestamp with time zone NOT NULL,
    mfa_at timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    sealed_chain_key bytea,
    generation integer NOT NULL,
    rotated_at timestamp with time zone,
    revoked_at timestamp with time zone,
    revoked_for character varying(20) NOT NULL,
    app_id uuid NOT NULL,
    member_id uuid NOT NULL,
    CONSTRAINT access_authorization_generation CHECK ((generation >= 0)),
    CONSTRAINT access_authorization_revoked_for CHECK ((((revoked_at IS NULL) AND ((revoked_for)::text = ''::text)) OR ((revoked_at IS NOT NULL) AND (NOT ((revoked_for)::text = ''::text))))),
    CONSTRAINT access_authorization_pkey PRIMARY KEY (id),
    CONSTRAINT access_authorization_app_id_4965e8f1_fk_access_app_id FOREIGN KEY (app_id) REFERENCES access_app(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT access_authorization_member_id_b64b75bc_fk_accounts_user_id FOREIGN KEY (member_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE access_authorizationcode (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    code_hash character varying(64) NOT NULL,
    redirect_uri text NOT NULL,
    scopes text[] NOT NULL,
    code_challenge character varying(128) NOT NULL,
    nonce character varying(255) NOT NULL,
    authenticated_at timestamp with time zone NOT NULL,
    mfa_at timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    app_id uuid NOT NULL,
    authorization_id uuid,
    member_id uuid NOT NULL,
    CONSTRAINT access_authorizationcode_authorization_id_key UNIQUE (authorization_id),
    CONSTRAINT access_authorizationcode_hash UNIQUE (code_hash),
    CONSTRAINT access_authorizationcode_pkey PRIMARY KEY (id),
    CONSTRAINT access_authorization_authorization_id_3dd8b926_fk_access_au FOREIGN KEY (authorization_id) REFERENCES access_authorization(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT access_authorizationcode_app_id_e77f2c0b_fk_access_app_id FOREIGN KEY (app_id) REFERENCES access_app(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT access_authorizationcode_member_id_d7a3a5a9_fk_accounts_user_id FOREIGN KEY (member_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE access_dailyspend (
    id bigint NOT NULL,
    grant_id uuid NOT NULL,
    principal_id uuid NOT NULL,
    day date NOT NULL,
    amount_minor bigint NOT NULL,
    CONSTRAINT access_dailyspend_positive CHECK ((amount_minor >= 0)),
    CONSTRAINT access_dailyspend_once UNIQUE (grant_id, principal_id, day),
    CONSTRAINT access_dailyspend_pkey PRIMARY KEY (id)
);
CREATE TABLE access_deviceauthorization (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    device_code_hash character varying(64) NOT NULL,
    user_code_hash character varying(64) NOT NULL,
    scopes text[] NOT NULL,
    interval_s smallint NOT NULL,
    polled_at timestamp with time zone,
    expires_at timestamp with time zone NOT NULL,
    approved boolean,
    authenticated_at timestamp with time zone,
    mfa_at timestamp with time zone,
    app_id uuid NOT NULL,
    authorization_id uuid,
    member_id uuid,
    CONSTRAINT access_deviceauthorization_decided CHECK ((((approved IS NULL) AND (member_id IS NULL)) OR ((approved IS NOT NULL) AND (authenticated_at IS NOT NULL) AND (member_id IS NOT NULL)))),
    CONSTRAINT access_deviceauthorization_authorization_id_key UNIQUE (authorization_id),
    CONSTRAINT access_deviceauthorization_device UNIQUE (device_code_hash),
    CONSTRAINT access_deviceauthorization_pkey PRIMARY KEY (id),
    CONSTRAINT access_deviceauthorization_user UNIQUE (user_code_hash),
    CONSTRAINT access_deviceauthori_authorization_id_079f9972_fk_access_au FOREIGN KEY (authorization_id) REFERENCES access_authorization(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT access_deviceauthori_member_id_d5355682_fk_accounts_ FOREIGN KEY (member_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT access_deviceauthorization_app_id_3bba3687_fk_access_app_id FOREIGN KEY (app_id) REFERENCES access_app(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE sites_site (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    name character varying(120) NOT NULL,
    time_zone character varying(64) NOT NULL,
    path text NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    parent_id uuid,
    CONSTRAINT sites_site_named CHECK ((NOT ((name)::text = ''::text))),
    CONSTRAINT sites_site_not_own_parent CHECK ((NOT ((parent_id = id) AND (parent_id IS NOT NULL)))),
    CONSTRAINT sites_site_path UNIQUE (path),
    CONSTRAINT sites_site_pkey PRIMARY KEY (id),
    CONSTRAINT sites_site_parent_id_f09e56c3_fk_sites_site_id FOREIGN KEY (parent_id) REFERENCES sites_site(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE access_grant (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    principal_kind character varying(8) NOT NULL,
    principal_id uuid NOT NULL,
    role character varying(40) NOT NULL,
    scope character varying(12) NOT NULL,
    device_id uuid,
    created_by character varying(64) NOT NULL,
    site_id uuid,
    amount_max_minor bigint,
    amount_per_day_max_minor bigint,
    currency character varying(3) DEFAULT ''::character varying NOT NULL,
    expires_at timestamp with time zone,
    hours jsonb,
    mfa_max_age_s integer,
    CONSTRAINT access_grant_amounts CHECK ((((amount_max_minor IS NULL) AND (amount_per_day_max_minor IS NULL) AND ((currency)::text = ''::text)) OR ((NOT ((currency)::text = ''::text)) AND ((amount_max_minor IS NOT NULL) OR (amount_per_day_max_minor IS NOT NULL))))),
    CONSTRAINT access_grant_kind CHECK (((principal_kind)::text = ANY ((ARRAY['member'::character varying, 'app'::character varying, 'device'::character varying, 'group'::character varying])::text[]))),
    CONSTRAINT access_grant_mfa_max_age_s_check CHECK ((mfa_max_age_s >= 0)),
    CONSTRAINT access_grant_owner CHECK (((NOT ((role)::text = 'owner'::text)) OR (((currency)::text = ''::text) AND (expires_at IS NULL) AND (hours IS NULL) AND (mfa_max_age_s IS NULL) AND ((principal_kind)::text = 'member'::text)))),
    CONSTRAINT access_grant_positive CHECK ((((amount_max_minor IS NULL) OR (amount_max_minor > 0)) AND ((amount_per_day_max_minor IS NULL) OR (amount_per_day_max_minor > 0)))),
    CONSTRAINT access_grant_target CHECK ((((device_id IS NULL) AND ((scope)::text = 'organization'::text) AND (site_id IS NULL)) OR ((device_id IS NULL) AND ((scope)::text = 'site'::text) AND (site_id IS NOT NULL)) OR ((device_id IS NOT NULL) AND ((scope)::text = 'device'::text) AND (site_id IS NULL)))),
    CONSTRAINT access_grant_once UNIQUE NULLS NOT DISTINCT (principal_kind, principal_id, role, scope, site_id, device_id),
    CONSTRAINT access_grant_pkey PRIMARY KEY (id),
    CONSTRAINT access_grant_site_id_da0f3167_fk_sites_site_id FOREIGN KEY (site_id) REFERENCES sites_site(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE access_group (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    name character varying(120) NOT NULL,
    kind character varying(8) NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT access_group_kind CHECK (((kind)::text = ANY ((ARRAY['member'::character varying, 'device'::character varying])::text[]))),
    CONSTRAINT access_group_named CHECK ((NOT ((name)::text = ''::text))),
    CONSTRAINT access_group_pkey PRIMARY KEY (id)
);
CREATE TABLE access_groupmembership (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    principal_id uuid NOT NULL,
    created_by character varying(64) NOT NULL,
    group_id uuid NOT NULL,
    CONSTRAINT access_groupmembership_pkey PRIMARY KEY (id),
    CONSTRAINT access_membership_once UNIQUE (group_id, principal_id),
    CONSTRAINT access_groupmembership_group_id_2e7e7aa8_fk_access_group_id FOREIGN KEY (group_id) REFERENCES access_group(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE access_policyrevision (
    id smallint NOT NULL,
    revision bigint NOT NULL,
    token uuid,
    CONSTRAINT access_policyrevision_one CHECK ((id = 1)),
    CONSTRAINT access_policyrevision_pkey PRIMARY KEY (id)
);
CREATE TABLE access_role (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    name character varying(40) NOT NULL,
    meaning character varying(200) NOT NULL,
    permissions character varying(80)[] NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT access_role_named CHECK (((name)::text ~ '^[a-z][a-z0-9_-]*$'::text)),
    CONSTRAINT access_role_name UNIQUE (name),
    CONSTRAINT access_role_pkey PRIMARY KEY (id)
);
CREATE TABLE access_signingkey (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    kid character varying(64) NOT NULL,
    algorithm character varying(16) NOT NULL,
    public_jwk jsonb NOT NULL,
    sealed_private_jwk bytea NOT NULL,
    retired_at timestamp with time zone,
    signs_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT access_signingkey_kid UNIQUE (kid),
    CONSTRAINT access_signingkey_pkey PRIMARY KEY (id)
);
CREATE TABLE access_spending (
    id bigint NOT NULL,
    source character varying(64) NOT NULL,
    amount_minor bigint NOT NULL,
    daily_id bigint NOT NULL,
    CONSTRAINT access_spending_positive CHECK ((amount_minor > 0)),
    CONSTRAINT access_spending_once UNIQUE (source),
    CONSTRAINT access_spending_pkey PRIMARY KEY (id),
    CONSTRAINT access_spending_daily_id_ddc41e61_fk_access_dailyspend_id FOREIGN KEY (daily_id) REFERENCES access_dailyspend(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE access_usedassertion (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    jti_hash character varying(64) NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    app_id uuid NOT NULL,
    CONSTRAINT access_usedassertion_once UNIQUE (app_id, jti_hash),
    CONSTRAINT access_usedassertion_pkey PRIMARY KEY (id),
    CONSTRAINT access_usedassertion_app_id_bca6c1e4_fk_access_app_id FOREIGN KEY (app_id) REFERENCES access_app(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE accounts_attempts (
    key uuid NOT NULL,
    count integer NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT accounts_attempts_pkey PRIMARY KEY (key)
);
CREATE TABLE accounts_ceremony (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    purpose character varying(24) NOT NULL,
    token_hash character varying(64) NOT NULL,
    data jsonb NOT NULL,
    attempts smallint NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    user_id uuid,
    CONSTRAINT accounts_ceremony_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_ceremony_token_hash UNIQUE (token_hash),
    CONSTRAINT accounts_ceremony_user_id_ce77a253_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE accounts_invitation (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    token_hash character varying(64) NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    accepted_at timestamp with time zone,
    user_id uuid NOT NULL,
    CONSTRAINT accounts_invitation_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_invitation_token_hash UNIQUE (token_hash),
    CONSTRAINT accounts_invitation_user_id_83f45191_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE accounts_knowndevice (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    token_hash character varying(64) NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    user_id uuid NOT NULL,
    CONSTRAINT accounts_knowndevice_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_knowndevice_token_hash UNIQUE (token_hash),
    CONSTRAINT accounts_knowndevice_user_id_3bdfdf5e_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE accounts_passkey (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    name character varying(60) NOT NULL,
    credential_id bytea NOT NULL,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    transports character varying(100) NOT NULL,
    is_backed_up boolean NOT NULL,
    last_used_at timestamp with time zone,
    user_id uuid NOT NULL,
    CONSTRAINT accounts_passkey_credential UNIQUE (credential_id),
    CONSTRAINT accounts_passkey_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_passkey_user_id_f8f562b4_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE accounts_session (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    token_hash character varying(64) NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    address inet,
    user_agent character varying(200) NOT NULL,
    user_id uuid NOT NULL,
    authenticated_at timestamp with time zone,
    methods character varying(60) DEFAULT 'pwd'::character varying NOT NULL,
    mfa_at timestamp with time zone,
    CONSTRAINT accounts_session_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_session_token_hash UNIQUE (token_hash),
    CONSTRAINT accounts_session_user_id_d5aaed01_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE accounts_signinpolicy (
    id smallint NOT NULL,
    mfa_required boolean NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT accounts_signinpolicy_one CHECK ((id = 1)),
    CONSTRAINT accounts_signinpolicy_pkey PRIMARY KEY (id)
);
CREATE TABLE audit_entry (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    action text NOT NULL,
    actor_kind text NOT NULL,
    actor_id uuid NOT NULL,
    actor_display text NOT NULL,
    resource text NOT NULL,
    detail jsonb NOT NULL,
    decision_id uuid,
    request_id text NOT NULL,
    address text DEFAULT ''::text NOT NULL,
    through text DEFAULT ''::text NOT NULL,
    CONSTRAINT audit_entry_action CHECK ((action ~ '^[a-z_]+(\.[a-z_]+)+$'::text)),
    CONSTRAINT audit_entry_actor_kind CHECK ((actor_kind = ANY (ARRAY['member'::text, 'app'::text, 'device'::text, 'operator'::text, 'system'::text]))),
    CONSTRAINT audit_entry_pkey PRIMARY KEY (id)
);
CREATE TABLE audit_head (
    id smallint NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT audit_head_single CHECK ((id = 1)),
    CONSTRAINT audit_head_pkey PRIMARY KEY (id)
);
CREATE TABLE audit_pending (
    id bigint NOT NULL,
    marked_at timestamp with time zone NOT NULL,
    row_id uuid NOT NULL,
    CONSTRAINT audit_pending_pkey PRIMARY KEY (id),
    CONSTRAINT audit_pending_row_id_key UNIQUE (row_id),
    CONSTRAINT audit_pending_row_id_21dbf23e_fk_audit_entry_id FOREIGN KEY (row_id) REFERENCES audit_entry(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE audit_seal (
    sequence bigint NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    row_id uuid NOT NULL,
    CONSTRAINT audit_seal_sequence CHECK ((sequence >= 1)),
    CONSTRAINT audit_seal_pkey PRIMARY KEY (sequence),
    CONSTRAINT audit_seal_row_id_key UNIQUE (row_id),
    CONSTRAINT audit_seal_row_id_058214c5_fk_audit_entry_id FOREIGN KEY (row_id) REFERENCES audit_entry(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE audit_setting (
    id smallint NOT NULL,
    retention_days integer,
    generation integer NOT NULL,
    CONSTRAINT audit_setting_retention_days CHECK (((retention_days IS NULL) OR (retention_days >= 90))),
    CONSTRAINT audit_setting_single CHECK ((id = 1)),
    CONSTRAINT audit_setting_pkey PRIMARY KEY (id)
);
CREATE TABLE devices_device (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    name character varying(120) NOT NULL,
    kind character varying(16) NOT NULL,
    status character varying(16) NOT NULL,
    last_seen_at timestamp with time zone,
    revoked_at timestamp with time zone,
    site_id uuid NOT NULL,
    quarantine_reason character varying(200) DEFAULT ''::character varying NOT NULL,
    quarantined_at timestamp with time zone,
    CONSTRAINT devices_device_named CHECK ((NOT ((name)::text = ''::text))),
    CONSTRAINT devices_device_quarantined CHECK (((NOT ((status)::text = 'quarantined'::text)) OR (quarantined_at IS NOT NULL))),
    CONSTRAINT devices_device_revoked CHECK ((((revoked_at IS NOT NULL) AND ((status)::text = 'revoked'::text)) OR ((NOT ((status)::text = 'revoked'::text)) AND (revoked_at IS NULL)))),
    CONSTRAINT devices_device_status CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'quarantined'::character varying, 'reset'::character varying, 'revoked'::character varying])::text[]))),
    CONSTRAINT devices_device_pkey PRIMARY KEY (id),
    CONSTRAINT devices_device_site_id_21fb2ff9_fk_sites_site_id FOREIGN KEY (site_id) REFERENCES sites_site(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE devices_devicecredential (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    public_key bytea NOT NULL,
    thumbprint character varying(43) NOT NULL,
    status character varying(16) NOT NULL,
    device_id uuid NOT NULL,
    replaced_by_id uuid,
    expires_at timestamp with time zone,
    CONSTRAINT devices_credential_pending CHECK (((NOT ((status)::text = 'pending'::text)) OR (expires_at IS NOT NULL))),
    CONSTRAINT devices_credential_replaced CHECK ((((replaced_by_id IS NOT NULL) AND ((status)::text = 'replaced'::text)) OR ((NOT ((status)::text = 'replaced'::text)) AND (replaced_by_id IS NULL)))),
    CONSTRAINT devices_credential_key UNIQUE (thumbprint),
    CONSTRAINT devices_devicecredential_pkey PRIMARY KEY (id),
    CONSTRAINT devices_devicecredential_replaced_by_id_key UNIQUE (replaced_by_id),
    CONSTRAINT devices_devicecreden_device_id_9f02d3b9_fk_devices_d FOREIGN KEY (device_id) REFERENCES devices_device(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT devices_devicecreden_replaced_by_id_7624ed10_fk_devices_d FOREIGN KEY (replaced_by_id) REFERENCES devices_devicecredential(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE identity_person (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    external_reference character varying(128),
    display_name character varying(200) NOT NULL,
    status character varying(16) NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    erased_at timestamp with time zone,
    CONSTRAINT person_erased_at_when_erased CHECK ((((erased_at IS NOT NULL) AND ((status)::text = 'erased'::text)) OR ((NOT ((status)::text = 'erased'::text)) AND (erased_at IS NULL)))),
    CONSTRAINT person_nameless_once_erased CHECK ((((status)::text = 'active'::text) OR (((display_name)::text = ''::text) AND (external_reference IS NULL)))),
    CONSTRAINT person_status_known CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'erasing'::character varying, 'erased'::character varying])::text[]))),
    CONSTRAINT identity_person_external_reference_key UNIQUE (external_reference),
    CONSTRAINT identity_person_pkey PRIMARY KEY (id)
);
CREATE TABLE payments_paymentmethod (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    kind character varying(16) NOT NULL,
    brand character varying(32) NOT NULL,
    last4 character varying(4) NOT NULL,
    status character varying(16) NOT NULL,
    detached_at timestamp with time zone,
    person_id uuid NOT NULL,
    CONSTRAINT payment_method_detached_at_when_detached CHECK ((((detached_at IS NOT NULL) AND ((status)::text = 'detached'::text)) OR ((detached_at IS NULL) AND ((status)::text = 'active'::text)))),
    CONSTRAINT payment_method_kind_known CHECK (((kind)::text = 'card'::text)),
    CONSTRAINT payment_method_last4_is_digits CHECK (((last4)::text ~ '^([0-9]{4})?$'::text)),
    CONSTRAINT payments_paymentmethod_pkey PRIMARY KEY (id),
    CONSTRAINT payments_paymentmethod_person_id_33e839cc_fk_identity_person_id FOREIGN KEY (person_id) REFERENCES identity_person(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE payments_payment (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    actor_kind character varying(16) NOT NULL,
    actor_id uuid NOT NULL,
    amount_minor bigint NOT NULL,
    currency character varying(3) NOT NULL,
    capture_method character varying(16) NOT NULL,
    description character varying(200) NOT NULL,
    reference character varying(100) NOT NULL,
    status character varying(16) NOT NULL,
    authorized_minor bigint NOT NULL,
    captured_minor bigint NOT NULL,
    refunded_minor bigint NOT NULL,
    refund_reserved_minor bigint NOT NULL,
    open_operations smallint NOT NULL,
    failure_code character varying(64) NOT NULL,
    lease_token uuid,
    lease_until timestamp with time zone,
    next_check_at timestamp with time zone,
    updated_at timestamp with time zone NOT NULL,
    person_id uuid NOT NULL,
    payment_method_id uuid NOT NULL,
    CONSTRAINT payment_amount_in_range CHECK (((amount_minor >= 1) AND (amount_minor <= '1000000000000'::bigint))),
    CONSTRAINT payment_capture_method_known CHECK (((capture_method)::text = ANY ((ARRAY['automatic'::character varying, 'manual'::character varying])::text[]))),
    CONSTRAINT payment_captured_has_an_amount CHECK (((NOT ((status)::text = 'captured'::text)) OR (captured_minor >= 1))),
    CONSTRAINT payment_currency_is_a_code CHECK (((currency)::text ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT payment_refunds_no_more_than_taken CHECK (((refunded_minor >= 0) AND (refunded_minor <= refund_reserved_minor) AND (refund_reserved_minor <= captured_minor))),
    CONSTRAINT payment_status_known CHECK (((status)::text = ANY ((ARRAY['pending'::character varying, 'unknown'::character varying, 'authorized'::character varying, 'captured'::character varying, 'failed'::character varying, 'voided'::character varying, 'needs_review'::character varying])::text[]))),
    CONSTRAINT payment_takes_no_more_than_asked CHECK (((captured_minor >= 0) AND (captured_minor <= amount_minor) AND (authorized_minor >= 0) AND (authorized_minor <= amount_minor))),
    CONSTRAINT payment_without_effect_took_nothing CHECK (((NOT ((status)::text = ANY ((ARRAY['failed'::character varying, 'voided'::character varying])::text[]))) OR (captured_minor = 0))),
    CONSTRAINT payments_payment_open_operations_check CHECK ((open_operations >= 0)),
    CONSTRAINT payments_payment_pkey PRIMARY KEY (id),
    CONSTRAINT payments_payment_payment_method_id_c909ff25_fk_payments_ FOREIGN KEY (payment_method_id) REFERENCES payments_paymentmethod(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT payments_payment_person_id_2dfa1221_fk_identity_person_id FOREIGN KEY (person_id) REFERENCES identity_person(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE identity_template (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    modality character varying(16) NOT NULL,
    model character varying(64) NOT NULL,
    version integer NOT NULL,
    dimensions smallint NOT NULL,
    sealed bytea NOT NULL,
    state character varying(16) NOT NULL,
    retired_at timestamp with time zone,
    person_id uuid NOT NULL,
    CONSTRAINT identity_template_dimensions_check CHECK ((dimensions >= 0)),
    CONSTRAINT identity_template_version_check CHECK ((version >= 0)),
    CONSTRAINT template_dimensions_in_range CHECK (((dimensions >= 64) AND (dimensions <= 2048))),
    CONSTRAINT template_modality_known CHECK (((modality)::text = ANY ((ARRAY['face'::character varying, 'fingerprint'::character varying, 'iris'::character varying, 'palm'::character varying, 'voice'::character varying])::text[]))),
    CONSTRAINT template_state_known CHECK (((state)::text = ANY ((ARRAY['active'::character varying, 'retired'::character varying])::text[]))),
    CONSTRAINT identity_template_pkey PRIMARY KEY (id),
    CONSTRAINT template_version_unique UNIQUE (person_id, modality, model, version),
    CONSTRAINT identity_template_person_id_feaa64ba_fk_identity_person_id FOREIGN KEY (person_id) REFERENCES identity_person(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE checkouts_checkout (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sequence bigint NOT NULL,
    frame_sha256 bytea NOT NULL,
    signature bytea NOT NULL,
    amount_minor bigint NOT NULL,
    currency character varying(3) NOT NULL,
    modality character varying(16) NOT NULL,
    model character varying(64) NOT NULL,
    captured_at timestamp with time zone NOT NULL,
    liveness_method character varying(64) NOT NULL,
    liveness_score double precision NOT NULL,
    claimed_person_id uuid,
    state character varying(24) NOT NULL,
    reason character varying(40) NOT NULL,
    grant_id uuid,
    policy_version integer NOT NULL,
    template_version integer,
    score double precision,
    runner_up_score double precision,
    threshold double precision,
    gallery_size integer,
    gallery_sequence bigint,
    worked_on_until timestamp with time zone NOT NULL,
    decided_at timestamp with time zone,
    finished_at timestamp with time zone,
    confirms_id uuid,
    credential_id uuid NOT NULL,
    device_id uuid NOT NULL,
    payment_id uuid,
    person_id uuid,
    site_id uuid NOT NULL,
    template_id uuid,
    CONSTRAINT checkouts_checkout_amount CHECK ((amount_minor > 0)),
    CONSTRAINT checkouts_checkout_finished CHECK ((((finished_at IS NOT NULL) AND ((state)::text = ANY ((ARRAY['approved'::character varying, 'confirmation_required'::character varying, 'declined'::character varying, 'expired'::character varying, 'not_recognised'::character varying])::text[]))) OR ((NOT ((state)::text = ANY ((ARRAY['approved'::character varying, 'confirmation_required'::character varying, 'declined'::character varying, 'expired'::character varying, 'not_recognised'::character varying])::text[]))) AND (finished_at IS NULL)))),
    CONSTRAINT checkouts_checkout_gallery_size_check CHECK ((gallery_size >= 0)),
    CONSTRAINT checkouts_checkout_paid CHECK (((NOT ((state)::text = ANY ((ARRAY['paying'::character varying, 'unknown'::character varying, 'approved'::character varying])::text[]))) OR ((payment_id IS NOT NULL) AND (person_id IS NOT NULL)))),
    CONSTRAINT checkouts_checkout_payer CHECK (((payment_id IS NULL) OR (person_id IS NOT NULL))),
    CONSTRAINT checkouts_checkout_policy_version_check CHECK ((policy_version >= 0)),
    CONSTRAINT checkouts_checkout_positive CHECK ((sequence > 0)),
    CONSTRAINT checkouts_checkout_state CHECK (((state)::text = ANY ((ARRAY['received'::character varying, 'paying'::character varying, 'unknown'::character varying, 'approved'::character varying, 'declined'::character varying, 'not_recognised'::character varying, 'confirmation_required'::character varying, 'expired'::character varying])::text[]))),
    CONSTRAINT checkouts_checkout_template_version_check CHECK ((template_version >= 0)),
    CONSTRAINT checkouts_checkout_confirms_id_key UNIQUE (confirms_id),
    CONSTRAINT checkouts_checkout_payment_id_key UNIQUE (payment_id),
    CONSTRAINT checkouts_checkout_pkey PRIMARY KEY (id),
    CONSTRAINT checkouts_checkout_sequence UNIQUE (device_id, credential_id, sequence),
    CONSTRAINT checkouts_checkout_confirms_id_1950547f_fk_checkouts FOREIGN KEY (confirms_id) REFERENCES checkouts_checkout(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT checkouts_checkout_credential_id_a44ae226_fk_devices_d FOREIGN KEY (credential_id) REFERENCES devices_devicecredential(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT checkouts_checkout_device_id_f1af5e71_fk_devices_device_id FOREIGN KEY (device_id) REFERENCES devices_device(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT checkouts_checkout_payment_id_2d38b886_fk_payments_payment_id FOREIGN KEY (payment_id) REFERENCES payments_payment(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT checkouts_checkout_person_id_56941a69_fk_identity_person_id FOREIGN KEY (person_id) REFERENCES identity_person(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT checkouts_checkout_site_id_204f7f1a_fk_sites_site_id FOREIGN KEY (site_id) REFERENCES sites_site(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT checkouts_checkout_template_id_4ba74b7c_fk_identity_template_id FOREIGN KEY (template_id) REFERENCES identity_template(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE checkouts_checkoutpolicy (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    is_only boolean NOT NULL,
    version integer NOT NULL,
    limit_minor bigint NOT NULL,
    confirmation_above_minor bigint NOT NULL,
    probe_age_max_s integer NOT NULL,
    liveness_min double precision NOT NULL,
    score_growth_per_tenfold double precision NOT NULL,
    score_margin double precision NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT checkouts_checkoutpolicy_probe_age_max_s_check CHECK ((probe_age_max_s >= 0)),
    CONSTRAINT checkouts_checkoutpolicy_version_check CHECK ((version >= 0)),
    CONSTRAINT checkouts_policy_amounts CHECK (((confirmation_above_minor >= 0) AND (limit_minor > 0))),
    CONSTRAINT checkouts_policy_liveness CHECK (((liveness_min >= (0.0)::double precision) AND (liveness_min <= (1.0)::double precision))),
    CONSTRAINT checkouts_policy_only CHECK (is_only),
    CONSTRAINT checkouts_policy_scores CHECK (((score_growth_per_tenfold >= (0.0)::double precision) AND (score_growth_per_tenfold <= (1.0)::double precision) AND (score_margin >= (0.0)::double precision) AND (score_margin <= (1.0)::double precision))),
    CONSTRAINT checkouts_checkoutpolicy_pkey PRIMARY KEY (id),
    CONSTRAINT checkouts_policy_one UNIQUE (is_only)
);
CREATE TABLE checkouts_personpin (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    hashed character varying(200) NOT NULL,
    wrong_attempts smallint NOT NULL,
    changed_at timestamp with time zone NOT NULL,
    person_id uuid NOT NULL,
    CONSTRAINT checkouts_personpin_wrong_attempts_check CHECK ((wrong_attempts >= 0)),
    CONSTRAINT checkouts_personpin_person_id_key UNIQUE (person_id),
    CONSTRAINT checkouts_personpin_pkey PRIMARY KEY (id),
    CONSTRAINT checkouts_personpin_person_id_2a6b44ef_fk_identity_person_id FOREIGN KEY (person_id) REFERENCES identity_person(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE checkouts_usedprobe (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    digest bytea NOT NULL,
    checkout_id uuid NOT NULL,
    CONSTRAINT checkouts_usedprobe_digest UNIQUE (digest),
    CONSTRAINT checkouts_usedprobe_pkey PRIMARY KEY (id),
    CONSTRAINT checkouts_usedprobe_checkout_id_a23b3923_fk_checkouts FOREIGN KEY (checkout_id) REFERENCES checkouts_checkout(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE devices_devicecommand (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    name character varying(64) NOT NULL,
    body jsonb NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    delivered_at timestamp with time zone,
    deliveries integer NOT NULL,
    acknowledged_at timestamp with time zone,
    device_id uuid NOT NULL,
    CONSTRAINT devices_devicecommand_deliveries_check CHECK ((deliveries >= 0)),
    CONSTRAINT devices_devicecommand_pkey PRIMARY KEY (id),
    CONSTRAINT devices_devicecommand_device_id_a64f73aa_fk_devices_device_id FOREIGN KEY (device_id) REFERENCES devices_device(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE devices_enrolmentcode (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    handle character varying(4) NOT NULL,
    digest bytea NOT NULL,
    kind character varying(16) NOT NULL,
    name character varying(120) NOT NULL,
    role character varying(40) NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    wrong_attempts smallint NOT NULL,
    claimed_at timestamp with time zone,
    created_by character varying(64) NOT NULL,
    device_id uuid,
    site_id uuid NOT NULL,
    re_enrols_id uuid,
    CONSTRAINT devices_code_claimed CHECK ((((claimed_at IS NULL) AND (device_id IS NULL)) OR ((claimed_at IS NOT NULL) AND (device_id IS NOT NULL) AND (re_enrols_id IS NULL)) OR ((claimed_at IS NOT NULL) AND (device_id IS NULL) AND (re_enrols_id IS NOT NULL)))),
    CONSTRAINT devices_enrolmentcode_wrong_attempts_check CHECK ((wrong_attempts >= 0)),
    CONSTRAINT devices_code_handle UNIQUE (handle),
    CONSTRAINT devices_enrolmentcode_device_id_key UNIQUE (device_id),
    CONSTRAINT devices_enrolmentcode_pkey PRIMARY KEY (id),
    CONSTRAINT devices_code_re_enrols FOREIGN KEY (re_enrols_id) REFERENCES devices_device(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT devices_enrolmentcode_device_id_bdd3f456_fk_devices_device_id FOREIGN KEY (device_id) REFERENCES devices_device(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT devices_enrolmentcode_site_id_397824d4_fk_sites_site_id FOREIGN KEY (site_id) REFERENCES sites_site(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE devices_gatewaysession (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    nonce character varying(64) NOT NULL,
    closed_at timestamp with time zone,
    close_code smallint,
    credential_id uuid NOT NULL,
    device_id uuid NOT NULL,
    CONSTRAINT devices_gatewaysession_close_code_check CHECK ((close_code >= 0)),
    CONSTRAINT devices_gatewaysession_pkey PRIMARY KEY (id),
    CONSTRAINT devices_session_nonce UNIQUE (nonce),
    CONSTRAINT devices_gatewaysessi_credential_id_391f8f4e_fk_devices_d FOREIGN KEY (credential_id) REFERENCES devices_devicecredential(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT devices_gatewaysession_device_id_0133f114_fk_devices_device_id FOREIGN KEY (device_id) REFERENCES devices_device(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE django_migrations (
    id bigint NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied timestamp with time zone NOT NULL,
    CONSTRAINT django_migrations_pkey PRIMARY KEY (id)
);
CREATE TABLE events_event (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    type text NOT NULL,
    api_version text NOT NULL,
    schema_version smallint NOT NULL,
    body text NOT NULL,
    CONSTRAINT events_event_schema_version_check CHECK ((schema_version >= 0)),
    CONSTRAINT events_event_type CHECK ((type ~ '^[a-z_]+(\.[a-z_]+)+$'::text)),
    CONSTRAINT events_event_pkey PRIMARY KEY (id)
);
CREATE TABLE events_head (
    id smallint NOT NULL,
    sequence bigint NOT NULL,
    hash bytea NOT NULL,
    CONSTRAINT events_head_single CHECK ((id = 1)),
    CONSTRAINT events_head_pkey PRIMARY KEY (id)
);
CREATE TABLE events_pending (
    id bigint NOT NULL,
    marked_at timestamp with time zone NOT NULL,
    row_id uuid NOT NULL,
    CONSTRAINT events_pending_pkey PRIMARY KEY (id),
    CONSTRAINT events_pending_row_id_key UNIQUE (row_id),
    CONSTRAINT events_pending_row_id_e308602d_fk_events_event_id FOREIGN KEY (row_id) REFERENCES events_event(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE events_seal (
    sequence bigint NOT NULL,
    previous_hash bytea NOT NULL,
    hash bytea NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    row_id uuid NOT NULL,
    CONSTRAINT events_seal_sequence CHECK ((sequence >= 1)),
    CONSTRAINT events_seal_pkey PRIMARY KEY (sequence),
    CONSTRAINT events_seal_row_id_key UNIQUE (row_id),
    CONSTRAINT events_seal_row_id_7a7814fb_fk_events_event_id FOREIGN KEY (row_id) REFERENCES events_event(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE idempotency_key (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    principal_kind character varying(16) NOT NULL,
    principal_id uuid NOT NULL,
    endpoint character varying(200) NOT NULL,
    key_hash bytea NOT NULL,
    body_hash bytea NOT NULL,
    intent character varying(100) NOT NULL,
    lease_until timestamp with time zone,
    status smallint,
    sealed_answer bytea,
    CONSTRAINT idempotency_key_answered_or_leased CHECK ((((sealed_answer IS NOT NULL) AND (status IS NOT NULL)) OR ((lease_until IS NOT NULL) AND (status IS NULL)))),
    CONSTRAINT idempotency_key_status_check CHECK ((status >= 0)),
    CONSTRAINT idempotency_key_once UNIQUE (principal_kind, principal_id, endpoint, key_hash),
    CONSTRAINT idempotency_key_pkey PRIMARY KEY (id)
);
CREATE TABLE identity_consent (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    purpose character varying(16) NOT NULL,
    evidence character varying(200) NOT NULL,
    granted_at timestamp with time zone NOT NULL,
    withdrawn_at timestamp with time zone,
    person_id uuid NOT NULL,
    CONSTRAINT consent_purpose_known CHECK (((purpose)::text = ANY ((ARRAY['identify'::character varying, 'pay'::character varying])::text[]))),
    CONSTRAINT consent_withdrawn_after_grant CHECK (((withdrawn_at IS NULL) OR (withdrawn_at >= granted_at))),
    CONSTRAINT identity_consent_pkey PRIMARY KEY (id),
    CONSTRAINT identity_consent_person_id_edc49103_fk_identity_person_id FOREIGN KEY (person_id) REFERENCES identity_person(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE identity_identification (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    modality character varying(16) NOT NULL,
    model character varying(64) NOT NULL,
    outcome character varying(16) NOT NULL,
    score double precision,
    runner_up_score double precision,
    threshold double precision NOT NULL,
    gallery_size integer NOT NULL,
    person_id uuid,
    template_id uuid,
    CONSTRAINT identification_outcome_known CHECK (((outcome)::text = ANY ((ARRAY['match'::character varying, 'no_match'::character varying, 'ambiguous'::character varying])::text[]))),
    CONSTRAINT identification_person_when_matched CHECK (((((outcome)::text = 'match'::text) AND (person_id IS NOT NULL)) OR ((NOT ((outcome)::text = 'match'::text)) AND (person_id IS NULL)))),
    CONSTRAINT identity_identification_gallery_size_check CHECK ((gallery_size >= 0)),
    CONSTRAINT identity_identification_pkey PRIMARY KEY (id),
    CONSTRAINT identity_identificat_person_id_bc6ffdbb_fk_identity_ FOREIGN KEY (person_id) REFERENCES identity_person(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT identity_identificat_template_id_8babaf46_fk_identity_ FOREIGN KEY (template_id) REFERENCES identity_template(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE identity_matchthreshold (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    modality character varying(16) NOT NULL,
    model character varying(64) NOT NULL,
    verification_min double precision NOT NULL,
    identification_min double precision NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT threshold_is_a_similarity CHECK (((identification_min > (0.0)::double precision) AND (verification_min > (0.0)::double precision) AND (verification_min <= (1.0)::double precision) AND (identification_min <= (1.0)::double precision))),
    CONSTRAINT threshold_modality_known CHECK (((modality)::text = ANY ((ARRAY['face'::character varying, 'fingerprint'::character varying, 'iris'::character varying, 'palm'::character varying, 'voice'::character varying])::text[]))),
    CONSTRAINT identity_matchthreshold_pkey PRIMARY KEY (id),
    CONSTRAINT threshold_one_per_model UNIQUE (modality, model)
);
CREATE TABLE identity_verification (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    modality character varying(16) NOT NULL,
    model character varying(64) NOT NULL,
    outcome character varying(16) NOT NULL,
    score double precision,
    threshold double precision NOT NULL,
    person_id uuid NOT NULL,
    template_id uuid,
    CONSTRAINT verification_outcome_known CHECK (((outcome)::text = ANY ((ARRAY['match'::character varying, 'no_match'::character varying])::text[]))),
    CONSTRAINT identity_verification_pkey PRIMARY KEY (id),
    CONSTRAINT identity_verificatio_template_id_1fb1ed85_fk_identity_ FOREIGN KEY (template_id) REFERENCES identity_template(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT identity_verification_person_id_6936f582_fk_identity_person_id FOREIGN KEY (person_id) REFERENCES identity_person(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE inbox_message (
    id uuid NOT NULL,
    name text NOT NULL,
    handled_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT inbox_message_pkey PRIMARY KEY (id)
);
CREATE TABLE keyring_organizationkey (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    purpose character varying(16) NOT NULL,
    version integer NOT NULL,
    wrapped bytea NOT NULL,
    kms_key_id character varying(512) NOT NULL,
    state character varying(16) NOT NULL,
    CONSTRAINT keyring_organizationkey_version_check CHECK ((version >= 0)),
    CONSTRAINT organizationkey_purpose_known CHECK (((purpose)::text = ANY ((ARRAY['biometric'::character varying, 'documents'::character varying, 'secrets'::character varying])::text[]))),
    CONSTRAINT organizationkey_state_known CHECK (((state)::text = ANY ((ARRAY['active'::character varying, 'retiring'::character varying, 'retired'::character varying])::text[]))),
    CONSTRAINT organizationkey_version_from_1 CHECK ((version >= 1)),
    CONSTRAINT keyring_organizationkey_pkey PRIMARY KEY (id),
    CONSTRAINT organizationkey_version_unique UNIQUE (purpose, version)
);
CREATE TABLE keyring_personkey (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    person_id uuid NOT NULL,
    purpose character varying(16) NOT NULL,
    organization_key_version integer NOT NULL,
    wrapped bytea NOT NULL,
    CONSTRAINT keyring_personkey_organization_key_version_check CHECK ((organization_key_version >= 0)),
    CONSTRAINT personkey_purpose_known CHECK (((purpose)::text = ANY ((ARRAY['biometric'::character varying, 'documents'::character varying])::text[]))),
    CONSTRAINT keyring_personkey_pkey PRIMARY KEY (id),
    CONSTRAINT personkey_one_per_purpose UNIQUE (person_id, purpose)
);
CREATE TABLE oauth2_provider_idtoken (
    id bigint NOT NULL,
    jti uuid NOT NULL,
    expires timestamp with time zone NOT NULL,
    scope text NOT NULL,
    created timestamp with time zone NOT NULL,
    updated timestamp with time zone NOT NULL,
    application_id uuid,
    user_id uuid,
    CONSTRAINT oauth2_provider_idtoken_jti_key UNIQUE (jti),
    CONSTRAINT oauth2_provider_idtoken_pkey PRIMARY KEY (id),
    CONSTRAINT oauth2_provider_idto_application_id_08c5ff4f_fk_access_ap FOREIGN KEY (application_id) REFERENCES access_app(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT oauth2_provider_idtoken_user_id_dd512b59_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE oauth2_provider_refreshtoken (
    id bigint NOT NULL,
    token text NOT NULL,
    access_token_id bigint,
    application_id uuid NOT NULL,
    user_id uuid NOT NULL,
    created timestamp with time zone NOT NULL,
    updated timestamp with time zone NOT NULL,
    revoked timestamp with time zone,
    token_family uuid,
    token_checksum character varying(64) NOT NULL,
    resource jsonb NOT NULL,
    CONSTRAINT oauth2_provider_refresht_token_checksum_revoked_46c81d1d_uniq UNIQUE (token_checksum, revoked),
    CONSTRAINT oauth2_provider_refreshtoken_access_token_id_key UNIQUE (access_token_id),
    CONSTRAINT oauth2_provider_refreshtoken_pkey PRIMARY KEY (id),
    CONSTRAINT oauth2_provider_refr_application_id_2d1c311b_fk_access_ap FOREIGN KEY (application_id) REFERENCES access_app(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT oauth2_provider_refr_user_id_da837fce_fk_accounts_ FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE oauth2_provider_accesstoken (
    id bigint NOT NULL,
    token text NOT NULL,
    expires timestamp with time zone NOT NULL,
    scope text NOT NULL,
    application_id uuid,
    user_id uuid,
    created timestamp with time zone NOT NULL,
    updated timestamp with time zone NOT NULL,
    source_refresh_token_id bigint,
    id_token_id bigint,
    token_checksum character varying(64) NOT NULL,
    resource jsonb NOT NULL,
    CONSTRAINT oauth2_provider_accesstoken_id_token_id_key UNIQUE (id_token_id),
    CONSTRAINT oauth2_provider_accesstoken_pkey PRIMARY KEY (id),
    CONSTRAINT oauth2_provider_accesstoken_source_refresh_token_id_key UNIQUE (source_refresh_token_id),
    CONSTRAINT oauth2_provider_accesstoken_token_checksum_85319a26_uniq UNIQUE (token_checksum),
    CONSTRAINT oauth2_provider_acce_application_id_b22886e1_fk_access_ap FOREIGN KEY (application_id) REFERENCES access_app(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT oauth2_provider_acce_id_token_id_85db651b_fk_oauth2_pr FOREIGN KEY (id_token_id) REFERENCES oauth2_provider_idtoken(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT oauth2_provider_acce_source_refresh_token_e66fbc72_fk_oauth2_pr FOREIGN KEY (source_refresh_token_id) REFERENCES oauth2_provider_refreshtoken(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT oauth2_provider_acce_user_id_6e4c9a65_fk_accounts_ FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE oauth2_provider_devicegrant (
    id bigint NOT NULL,
    device_code character varying(100) NOT NULL,
    user_code character varying(100) NOT NULL,
    scope text NOT NULL,
    "interval" integer NOT NULL,
    expires timestamp with time zone NOT NULL,
    status character varying(64) NOT NULL,
    client_id character varying(100) NOT NULL,
    last_checked timestamp with time zone NOT NULL,
    user_id uuid,
    CONSTRAINT oauth2_provider_devicegrant_pkey PRIMARY KEY (id),
    CONSTRAINT oauth2_provider_devicegrant_unique_device_code UNIQUE (device_code),
    CONSTRAINT oauth2_provider_devi_user_id_1cec5156_fk_accounts_ FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE oauth2_provider_grant (
    id bigint NOT NULL,
    code character varying(255) NOT NULL,
    expires timestamp with time zone NOT NULL,
    redirect_uri text NOT NULL,
    scope text NOT NULL,
    application_id uuid NOT NULL,
    user_id uuid NOT NULL,
    created timestamp with time zone NOT NULL,
    updated timestamp with time zone NOT NULL,
    code_challenge character varying(128) NOT NULL,
    code_challenge_method character varying(10) NOT NULL,
    nonce character varying(255) NOT NULL,
    claims text NOT NULL,
    resource jsonb NOT NULL,
    CONSTRAINT oauth2_provider_grant_code_key UNIQUE (code),
    CONSTRAINT oauth2_provider_grant_pkey PRIMARY KEY (id),
    CONSTRAINT oauth2_provider_grant_application_id_81923564_fk_access_app_id FOREIGN KEY (application_id) REFERENCES access_app(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT oauth2_provider_grant_user_id_e8f62af8_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE otp_static_staticdevice (
    id integer NOT NULL,
    name character varying(64) NOT NULL,
    confirmed boolean NOT NULL,
    user_id uuid NOT NULL,
    throttling_failure_count integer NOT NULL,
    throttling_failure_timestamp timestamp with time zone,
    created_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT otp_static_staticdevice_throttling_failure_count_check CHECK ((throttling_failure_count >= 0)),
    CONSTRAINT otp_static_staticdevice_pkey PRIMARY KEY (id),
    CONSTRAINT otp_static_staticdevice_user_id_7f9cff2b_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE otp_static_statictoken (
    id integer NOT NULL,
    token character varying(16) NOT NULL,
    device_id integer NOT NULL,
    CONSTRAINT otp_static_statictoken_pkey PRIMARY KEY (id),
    CONSTRAINT otp_static_statictok_device_id_74b7c7d1_fk_otp_stati FOREIGN KEY (device_id) REFERENCES otp_static_staticdevice(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE otp_totp_totpdevice (
    id integer NOT NULL,
    name character varying(64) NOT NULL,
    confirmed boolean NOT NULL,
    key character varying(80) NOT NULL,
    step smallint NOT NULL,
    t0 bigint NOT NULL,
    digits smallint NOT NULL,
    tolerance smallint NOT NULL,
    drift smallint NOT NULL,
    last_t bigint NOT NULL,
    user_id uuid NOT NULL,
    throttling_failure_count integer NOT NULL,
    throttling_failure_timestamp timestamp with time zone,
    created_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT otp_totp_totpdevice_digits_check CHECK ((digits >= 0)),
    CONSTRAINT otp_totp_totpdevice_step_check CHECK ((step >= 0)),
    CONSTRAINT otp_totp_totpdevice_throttling_failure_count_check CHECK ((throttling_failure_count >= 0)),
    CONSTRAINT otp_totp_totpdevice_tolerance_check CHECK ((tolerance >= 0)),
    CONSTRAINT otp_totp_totpdevice_pkey PRIMARY KEY (id),
    CONSTRAINT otp_totp_totpdevice_user_id_0fb18292_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE payments_provideraccount (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    name character varying(100) NOT NULL,
    provider character varying(32) NOT NULL,
    base_url character varying(200) NOT NULL,
    sealed_credentials bytea NOT NULL,
    priority smallint NOT NULL,
    status character varying(16) NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT payments_provideraccount_priority_check CHECK ((priority >= 0)),
    CONSTRAINT provider_account_status_known CHECK (((status)::text = ANY ((ARRAY['active'::character varying, 'disabled'::character varying])::text[]))),
    CONSTRAINT payments_provideraccount_pkey PRIMARY KEY (id),
    CONSTRAINT provider_account_name_unique UNIQUE (name)
);
CREATE TABLE payments_attempt (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    number smallint NOT NULL,
    status character varying(16) NOT NULL,
    place_key character varying(64) NOT NULL,
    charge_key character varying(64) NOT NULL,
    provider_reference character varying(128),
    sends smallint NOT NULL,
    checks smallint NOT NULL,
    first_sent_at timestamp with time zone,
    refusal_code character varying(64) NOT NULL,
    elsewhere boolean NOT NULL,
    settled_at timestamp with time zone,
    payment_id uuid NOT NULL,
    provider_account_id uuid NOT NULL,
    CONSTRAINT attempt_first_sent_at_when_sent CHECK ((((first_sent_at IS NULL) AND (sends = 0)) OR ((first_sent_at IS NOT NULL) AND (sends >= 1)))),
    CONSTRAINT attempt_reference_when_placed CHECK (((NOT ((status)::text = ANY ((ARRAY['placed'::character varying, 'unknown'::character varying, 'authorized'::character varying, 'captured'::character varying])::text[]))) OR (provider_reference IS NOT NULL))),
    CONSTRAINT attempt_status_known CHECK (((status)::text = ANY ((ARRAY['created'::character varying, 'placed'::character varying, 'unknown'::character varying, 'authorized'::character varying, 'captured'::character varying, 'refused'::character varying, 'voided'::character varying, 'needs_review'::character varying, 'contradicted'::character varying])::text[]))),
    CONSTRAINT payments_attempt_checks_check CHECK ((checks >= 0)),
    CONSTRAINT payments_attempt_number_check CHECK ((number >= 0)),
    CONSTRAINT payments_attempt_sends_check CHECK ((sends >= 0)),
    CONSTRAINT attempt_number_unique UNIQUE (payment_id, number),
    CONSTRAINT attempt_reference_unique UNIQUE (provider_account_id, provider_reference),
    CONSTRAINT payments_attempt_charge_key_key UNIQUE (charge_key),
    CONSTRAINT payments_attempt_pkey PRIMARY KEY (id),
    CONSTRAINT payments_attempt_place_key_key UNIQUE (place_key),
    CONSTRAINT payments_attempt_payment_id_a18ea4ce_fk_payments_payment_id FOREIGN KEY (payment_id) REFERENCES payments_payment(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT payments_attempt_provider_account_id_f9d36d68_fk_payments_ FOREIGN KEY (provider_account_id) REFERENCES payments_provideraccount(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE payments_ledgeraccount (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    kind character varying(16) NOT NULL,
    currency character varying(3) NOT NULL,
    provider_account_id uuid,
    CONSTRAINT ledger_account_currency_is_a_code CHECK (((currency)::text ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT ledger_account_kind_known CHECK (((kind)::text = ANY ((ARRAY['provider'::character varying, 'sales'::character varying, 'refunds'::character varying])::text[]))),
    CONSTRAINT ledger_account_provider_when_its_own CHECK (((((kind)::text = 'provider'::text) AND (provider_account_id IS NOT NULL)) OR ((NOT ((kind)::text = 'provider'::text)) AND (provider_account_id IS NULL)))),
    CONSTRAINT ledger_account_currency UNIQUE (id, currency),
    CONSTRAINT ledger_account_unique UNIQUE NULLS NOT DISTINCT (kind, currency, provider_account_id),
    CONSTRAINT payments_ledgeraccount_pkey PRIMARY KEY (id),
    CONSTRAINT payments_ledgeraccou_provider_account_id_c34a9cfa_fk_payments_ FOREIGN KEY (provider_account_id) REFERENCES payments_provideraccount(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE payments_balance (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    debits_posted_minor bigint NOT NULL,
    credits_posted_minor bigint NOT NULL,
    debits_pending_minor bigint NOT NULL,
    credits_pending_minor bigint NOT NULL,
    account_id uuid NOT NULL,
    CONSTRAINT balance_never_negative CHECK (((credits_posted_minor >= 0) AND (debits_posted_minor >= 0) AND (credits_pending_minor >= 0) AND (debits_pending_minor >= 0))),
    CONSTRAINT payments_balance_account_id_key UNIQUE (account_id),
    CONSTRAINT payments_balance_pkey PRIMARY KEY (id),
    CONSTRAINT payments_balance_account_id_c03a36f0_fk_payments_ FOREIGN KEY (account_id) REFERENCES payments_ledgeraccount(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE payments_capture (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    actor_kind character varying(16) NOT NULL,
    actor_id uuid NOT NULL,
    status character varying(16) NOT NULL,
    key character varying(64) NOT NULL,
    provider_reference character varying(128) NOT NULL,
    sends smallint NOT NULL,
    checks smallint NOT NULL,
    first_sent_at timestamp with time zone,
    refusal_code character varying(64) NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    amount_minor bigint NOT NULL,
    attempt_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    CONSTRAINT capture_amount_positive CHECK ((amount_minor >= 1)),
    CONSTRAINT capture_status_known CHECK (((status)::text = ANY ((ARRAY['created'::character varying, 'unknown'::character varying, 'pending'::character varying, 'succeeded'::character varying, 'refused'::character varying, 'failed'::character varying, 'needs_review'::character varying])::text[]))),
    CONSTRAINT payments_capture_checks_check CHECK ((checks >= 0)),
    CONSTRAINT payments_capture_sends_check CHECK ((sends >= 0)),
    CONSTRAINT payments_capture_key_key UNIQUE (key),
    CONSTRAINT payments_capture_pkey PRIMARY KEY (id),
    CONSTRAINT payments_capture_attempt_id_ece9acbd_fk_payments_attempt_id FOREIGN KEY (attempt_id) REFERENCES payments_attempt(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT payments_capture_payment_id_78db5fb1_fk_payments_payment_id FOREIGN KEY (payment_id) REFERENCES payments_payment(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE payments_providerevent (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    source character varying(16) NOT NULL,
    source_id character varying(200) NOT NULL,
    kind character varying(64) NOT NULL,
    subject character varying(16) NOT NULL,
    reference character varying(128) NOT NULL,
    charge_reference character varying(128) NOT NULL,
    attempt_id_claimed uuid,
    refund_id_claimed uuid,
    said character varying(16) NOT NULL,
    amount_minor bigint,
    currency character varying(3) NOT NULL,
    code character varying(64) NOT NULL,
    elsewhere boolean NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    body_sha256 bytea,
    provider_account_id uuid NOT NULL,
    CONSTRAINT provider_event_amount_positive CHECK (((amount_minor IS NULL) OR (amount_minor >= 0))),
    CONSTRAINT provider_event_source_known CHECK (((source)::text = ANY ((ARRAY['reply'::character varying, 'webhook'::character varying])::text[]))),
    CONSTRAINT payments_providerevent_pkey PRIMARY KEY (id),
    CONSTRAINT provider_event_stored_once UNIQUE (provider_account_id, source, source_id, kind),
    CONSTRAINT payments_providereve_provider_account_id_2c27bb16_fk_payments_ FOREIGN KEY (provider_account_id) REFERENCES payments_provideraccount(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE payments_providertoken (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sealed bytea NOT NULL,
    payment_method_id uuid NOT NULL,
    provider_account_id uuid NOT NULL,
    CONSTRAINT payments_providertoken_pkey PRIMARY KEY (id),
    CONSTRAINT provider_token_one_each UNIQUE (payment_method_id, provider_account_id),
    CONSTRAINT payments_providertok_payment_method_id_a27069b9_fk_payments_ FOREIGN KEY (payment_method_id) REFERENCES payments_paymentmethod(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT payments_providertok_provider_account_id_a498fb49_fk_payments_ FOREIGN KEY (provider_account_id) REFERENCES payments_provideraccount(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE payments_refund (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    actor_kind character varying(16) NOT NULL,
    actor_id uuid NOT NULL,
    status character varying(16) NOT NULL,
    key character varying(64) NOT NULL,
    provider_reference character varying(128) NOT NULL,
    sends smallint NOT NULL,
    checks smallint NOT NULL,
    first_sent_at timestamp with time zone,
    refusal_code character varying(64) NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    amount_minor bigint NOT NULL,
    reason character varying(200) NOT NULL,
    attempt_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    CONSTRAINT payments_refund_checks_check CHECK ((checks >= 0)),
    CONSTRAINT payments_refund_sends_check CHECK ((sends >= 0)),
    CONSTRAINT refund_amount_positive CHECK ((amount_minor >= 1)),
    CONSTRAINT refund_status_known CHECK (((status)::text = ANY ((ARRAY['created'::character varying, 'unknown'::character varying, 'pending'::character varying, 'succeeded'::character varying, 'refused'::character varying, 'failed'::character varying, 'needs_review'::character varying])::text[]))),
    CONSTRAINT payments_refund_key_key UNIQUE (key),
    CONSTRAINT payments_refund_pkey PRIMARY KEY (id),
    CONSTRAINT payments_refund_attempt_id_0b419ab4_fk_payments_attempt_id FOREIGN KEY (attempt_id) REFERENCES payments_attempt(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT payments_refund_payment_id_a70693f7_fk_payments_payment_id FOREIGN KEY (payment_id) REFERENCES payments_payment(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE payments_transfer (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    transaction_id uuid NOT NULL,
    kind character varying(8) NOT NULL,
    currency character varying(3) NOT NULL,
    amount_minor bigint NOT NULL,
    voided_minor bigint NOT NULL,
    pending_kind character varying(8) NOT NULL,
    pending_minor bigint,
    reason character varying(24) NOT NULL,
    source_id uuid NOT NULL,
    credit_account_id uuid NOT NULL,
    debit_account_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    pending_id uuid,
    provider_event_id uuid NOT NULL,
    CONSTRAINT transfer_amount_positive CHECK ((amount_minor >= 1)),
    CONSTRAINT transfer_between_two_accounts CHECK ((NOT (debit_account_id = credit_account_id))),
    CONSTRAINT transfer_kind_known CHECK (((kind)::text = ANY ((ARRAY['posted'::character varying, 'pending'::character varying, 'post'::character varying, 'void'::character varying])::text[]))),
    CONSTRAINT transfer_resolves_all_or_nothing CHECK (((((kind)::text = ANY ((ARRAY['posted'::character varying, 'pending'::character varying])::text[])) AND (voided_minor = 0) AND (pending_id IS NULL) AND ((pending_kind)::text = ''::text) AND (pending_minor IS NULL)) OR (((kind)::text = 'post'::text) AND (pending_id IS NOT NULL) AND ((pending_kind)::text = 'pending'::text) AND (pending_minor IS NOT NULL) AND (pending_minor = (amount_minor + voided_minor)) AND (voided_minor >= 0)) OR (((kind)::text = 'void'::text) AND (pending_id IS NOT NULL) AND ((pending_kind)::text = 'pending'::text) AND (pending_minor IS NOT NULL) AND (pending_minor = amount_minor) AND (voided_minor = amount_minor)))),
    CONSTRAINT payments_transfer_pending_id_key UNIQUE (pending_id),
    CONSTRAINT payments_transfer_pkey PRIMARY KEY (id),
    CONSTRAINT transfer_once_per_reason UNIQUE (reason, source_id),
    CONSTRAINT transfer_resolvable UNIQUE (id, kind, debit_account_id, credit_account_id, amount_minor),
    CONSTRAINT payments_transfer_credit_account_id_01990b6f_fk_payments_ FOREIGN KEY (credit_account_id) REFERENCES payments_ledgeraccount(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT payments_transfer_debit_account_id_c4cbb382_fk_payments_ FOREIGN KEY (debit_account_id) REFERENCES payments_ledgeraccount(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT payments_transfer_payment_id_28acc6ba_fk_payments_payment_id FOREIGN KEY (payment_id) REFERENCES payments_payment(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT payments_transfer_pending_id_2d952165_fk_payments_transfer_id FOREIGN KEY (pending_id) REFERENCES payments_transfer(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT payments_transfer_provider_event_id_7fc8ecd5_fk_payments_ FOREIGN KEY (provider_event_id) REFERENCES payments_providerevent(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT transfer_credit_currency FOREIGN KEY (credit_account_id, currency) REFERENCES payments_ledgeraccount(id, currency),
    CONSTRAINT transfer_debit_currency FOREIGN KEY (debit_account_id, currency) REFERENCES payments_ledgeraccount(id, currency),
    CONSTRAINT transfer_resolves_its_pending FOREIGN KEY (pending_id, pending_kind, debit_account_id, credit_account_id, pending_minor) REFERENCES payments_transfer(id, kind, debit_account_id, credit_account_id, amount_minor)
);
CREATE TABLE payments_void (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    actor_kind character varying(16) NOT NULL,
    actor_id uuid NOT NULL,
    status character varying(16) NOT NULL,
    key character varying(64) NOT NULL,
    provider_reference character varying(128) NOT NULL,
    sends smallint NOT NULL,
    checks smallint NOT NULL,
    first_sent_at timestamp with time zone,
    refusal_code character varying(64) NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    attempt_id uuid NOT NULL,
    payment_id uuid NOT NULL,
    CONSTRAINT payments_void_checks_check CHECK ((checks >= 0)),
    CONSTRAINT payments_void_sends_check CHECK ((sends >= 0)),
    CONSTRAINT void_status_known CHECK (((status)::text = ANY ((ARRAY['created'::character varying, 'unknown'::character varying, 'pending'::character varying, 'succeeded'::character varying, 'refused'::character varying, 'failed'::character varying, 'needs_review'::character varying])::text[]))),
    CONSTRAINT payments_void_key_key UNIQUE (key),
    CONSTRAINT payments_void_pkey PRIMARY KEY (id),
    CONSTRAINT payments_void_attempt_id_126ae8b6_fk_payments_attempt_id FOREIGN KEY (attempt_id) REFERENCES payments_attempt(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT payments_void_payment_id_b36f3273_fk_payments_payment_id FOREIGN KEY (payment_id) REFERENCES payments_payment(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE signin_identityprovider (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    name character varying(60) NOT NULL,
    issuer character varying(255) NOT NULL,
    client_id character varying(255) NOT NULL,
    sealed_client_secret bytea,
    trusts_mfa boolean NOT NULL,
    is_active boolean NOT NULL,
    created_by character varying(64) NOT NULL,
    CONSTRAINT signin_identityprovider_pkey PRIMARY KEY (id)
);
CREATE TABLE signin_linkedidentity (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    subject character varying(255) NOT NULL,
    last_used_at timestamp with time zone,
    provider_id uuid NOT NULL,
    user_id uuid NOT NULL,
    CONSTRAINT signin_linkedidentity_pkey PRIMARY KEY (id),
    CONSTRAINT signin_linkedidentity_subject UNIQUE (provider_id, subject),
    CONSTRAINT signin_linkedidentity_user UNIQUE (user_id, provider_id),
    CONSTRAINT signin_linkedidentit_provider_id_ee5525a1_fk_signin_id FOREIGN KEY (provider_id) REFERENCES signin_identityprovider(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT signin_linkedidentity_user_id_9ca68001_fk_accounts_user_id FOREIGN KEY (user_id) REFERENCES accounts_user(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE usage_record (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    metric text NOT NULL,
    quantity bigint NOT NULL,
    source_id text NOT NULL,
    CONSTRAINT usage_record_metric CHECK ((metric ~ '^[a-z_]+(\.[a-z_]+)*$'::text)),
    CONSTRAINT usage_record_quantity CHECK ((quantity > 0)),
    CONSTRAINT usage_record_once UNIQUE (metric, source_id),
    CONSTRAINT usage_record_pkey PRIMARY KEY (id)
);
CREATE TABLE webhooks_endpoint (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    url text NOT NULL,
    description text NOT NULL,
    event_types text[] NOT NULL,
    api_version text NOT NULL,
    status text NOT NULL,
    disabled_reason text NOT NULL,
    failures integer NOT NULL,
    failing_since timestamp with time zone,
    paused_until timestamp with time zone,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT webhooks_endpoint_disabled_reason CHECK ((disabled_reason = ANY (ARRAY[''::text, 'requested'::text, 'failing'::text, 'gone'::text]))),
    CONSTRAINT webhooks_endpoint_failures_check CHECK ((failures >= 0)),
    CONSTRAINT webhooks_endpoint_status CHECK ((status = ANY (ARRAY['enabled'::text, 'disabled'::text, 'deleted'::text]))),
    CONSTRAINT webhooks_endpoint_pkey PRIMARY KEY (id)
);
CREATE TABLE webhooks_delivery (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    event_type text NOT NULL,
    sequence bigint NOT NULL,
    state text NOT NULL,
    attempts integer NOT NULL,
    attempts_before integer NOT NULL,
    next_attempt_at timestamp with time zone,
    delivered_at timestamp with time zone,
    event_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    CONSTRAINT webhooks_delivery_attempts_before_check CHECK ((attempts_before >= 0)),
    CONSTRAINT webhooks_delivery_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT webhooks_delivery_state CHECK ((state = ANY (ARRAY['pending'::text, 'delivered'::text, 'failed'::text, 'cancelled'::text]))),
    CONSTRAINT webhooks_delivery_once UNIQUE (endpoint_id, event_id),
    CONSTRAINT webhooks_delivery_pkey PRIMARY KEY (id),
    CONSTRAINT webhooks_delivery_endpoint_id_6cbee67d_fk_webhooks_endpoint_id FOREIGN KEY (endpoint_id) REFERENCES webhooks_endpoint(id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT webhooks_delivery_event_id_b6f5af91_fk_events_event_id FOREIGN KEY (event_id) REFERENCES events_event(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE webhooks_attempt (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    number integer NOT NULL,
    status smallint,
    error text NOT NULL,
    duration_ms integer NOT NULL,
    response text NOT NULL,
    delivery_id uuid NOT NULL,
    CONSTRAINT webhooks_attempt_duration_ms_check CHECK ((duration_ms >= 0)),
    CONSTRAINT webhooks_attempt_number_check CHECK ((number >= 0)),
    CONSTRAINT webhooks_attempt_status_check CHECK ((status >= 0)),
    CONSTRAINT webhooks_attempt_number UNIQUE (delivery_id, number),
    CONSTRAINT webhooks_attempt_pkey PRIMARY KEY (id),
    CONSTRAINT webhooks_attempt_delivery_id_bb1708b1_fk_webhooks_delivery_id FOREIGN KEY (delivery_id) REFERENCES webhooks_delivery(id) DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE webhooks_secret (
    id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamp with time zone,
    endpoint_id uuid NOT NULL,
    CONSTRAINT webhooks_secret_pkey PRIMARY KEY (id),
    CONSTRAINT webhooks_secret_endpoint_id_d9f89665_fk_webhooks_endpoint_id FOREIGN KEY (endpoint_id) REFERENCES webhooks_endpoint(id) DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE ONLY oauth2_provider_refreshtoken
    ADD CONSTRAINT oauth2_provider_refr_access_token_id_775e84e8_fk_oauth2_pr FOREIGN KEY (access_token_id) REFERENCES oauth2_provider_accesstoken(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE access_dailyspend ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME access_dailyspend_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE access_spending ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME access_spending_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE audit_pending ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME audit_pending_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE django_migrations ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME django_migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE events_pending ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME events_pending_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE oauth2_provider_accesstoken ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME oauth2_provider_accesstoken_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE oauth2_provider_devicegrant ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME oauth2_provider_devicegrant_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE oauth2_provider_grant ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME oauth2_provider_grant_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE oauth2_provider_idtoken ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME oauth2_provider_idtoken_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE oauth2_provider_refreshtoken ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME oauth2_provider_refreshtoken_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE otp_static_staticdevice ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME otp_static_staticdevice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE otp_static_statictoken ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME otp_static_statictoken_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE otp_totp_totpdevice ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME otp_totp_totpdevice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE INDEX access_authorization_app_id_4965e8f1 ON access_authorization USING btree (app_id);
CREATE INDEX access_authorization_member_id_b64b75bc ON access_authorization USING btree (member_id);
CREATE INDEX access_authorizationcode_app_id_e77f2c0b ON access_authorizationcode USING btree (app_id);
CREATE INDEX access_authorizationcode_member_id_d7a3a5a9 ON access_authorizationcode USING btree (member_id);
CREATE INDEX access_deviceauthorization_app_id_3bba3687 ON access_deviceauthorization USING btree (app_id);
CREATE INDEX access_deviceauthorization_member_id_d5355682 ON access_deviceauthorization USING btree (member_id);
CREATE INDEX access_grant_role ON access_grant USING btree (role);
CREATE INDEX access_grant_site_id_da0f3167 ON access_grant USING btree (site_id);
CREATE UNIQUE INDEX access_group_name ON access_group USING btree (lower((name)::text));
CREATE INDEX access_membership_principal ON access_groupmembership USING btree (principal_id);
CREATE INDEX accounts_attempts_expires ON accounts_attempts USING btree (expires_at);
CREATE INDEX accounts_ceremony_expires ON accounts_ceremony USING btree (expires_at);
CREATE INDEX accounts_ceremony_user_id_ce77a253 ON accounts_ceremony USING btree (user_id);
CREATE INDEX accounts_invitation_user_id_83f45191 ON accounts_invitation USING btree (user_id);
CREATE INDEX accounts_knowndevice_user_id_3bdfdf5e ON accounts_knowndevice USING btree (user_id);
CREATE INDEX accounts_passkey_user_id_f8f562b4 ON accounts_passkey USING btree (user_id);
CREATE INDEX accounts_session_user_id_d5aaed01 ON accounts_session USING btree (user_id);
CREATE UNIQUE INDEX attempt_one_live_per_payment ON payments_attempt USING btree (payment_id) WHERE ((status)::text = ANY ((ARRAY['authorized'::character varying, 'captured'::character varying, 'created'::character varying, 'needs_review'::character varying, 'placed'::character varying, 'unknown'::character varying])::text[]));
CREATE INDEX audit_entry_action ON audit_entry USING btree (action, id);
CREATE INDEX audit_entry_actor ON audit_entry USING btree (actor_id, id);
CREATE INDEX audit_entry_created_at ON audit_entry USING btree (created_at);
CREATE INDEX audit_entry_resource ON audit_entry USING btree (resource, id);
CREATE UNIQUE INDEX capture_one_per_payment ON payments_capture USING btree (payment_id) WHERE (NOT ((status)::text = ANY ((ARRAY['refused'::character varying, 'failed'::character varying])::text[])));
CREATE INDEX checkouts_checkout_credential_id_a44ae226 ON checkouts_checkout USING btree (credential_id);
CREATE INDEX checkouts_checkout_open ON checkouts_checkout USING btree (id) WHERE (NOT ((state)::text = ANY ((ARRAY['approved'::character varying, 'confirmation_required'::character varying, 'declined'::character varying, 'expired'::character varying, 'not_recognised'::character varying])::text[])));
CREATE INDEX checkouts_checkout_person ON checkouts_checkout USING btree (person_id, id);
CREATE INDEX checkouts_checkout_site ON checkouts_checkout USING btree (site_id, id);
CREATE INDEX checkouts_checkout_template_id_4ba74b7c ON checkouts_checkout USING btree (template_id);
CREATE INDEX checkouts_usedprobe_checkout_id_a23b3923 ON checkouts_usedprobe USING btree (checkout_id);
CREATE UNIQUE INDEX consent_one_current ON identity_consent USING btree (person_id, purpose) WHERE (withdrawn_at IS NULL);
CREATE INDEX devices_command_pending ON devices_devicecommand USING btree (device_id, id) WHERE (acknowledged_at IS NULL);
CREATE UNIQUE INDEX devices_credential_one_active ON devices_devicecredential USING btree (device_id) WHERE ((status)::text = 'active'::text);
CREATE INDEX devices_device_site_id_21fb2ff9 ON devices_device USING btree (site_id);
CREATE INDEX devices_devicecommand_device_id_a64f73aa ON devices_devicecommand USING btree (device_id);
CREATE INDEX devices_devicecredential_device_id_9f02d3b9 ON devices_devicecredential USING btree (device_id);
CREATE INDEX devices_enrolmentcode_site_id_397824d4 ON devices_enrolmentcode USING btree (site_id);
CREATE INDEX devices_gatewaysession_credential_id_391f8f4e ON devices_gatewaysession USING btree (credential_id);
CREATE INDEX devices_session_device ON devices_gatewaysession USING btree (device_id, id);
CREATE INDEX idempotency_key_age ON idempotency_key USING btree (created_at);
CREATE INDEX identity_consent_person_id_edc49103 ON identity_consent USING btree (person_id);
CREATE INDEX identity_identification_person_id_bc6ffdbb ON identity_identification USING btree (person_id);
CREATE INDEX identity_identification_template_id_8babaf46 ON identity_identification USING btree (template_id);
CREATE INDEX identity_verification_person_id_6936f582 ON identity_verification USING btree (person_id);
CREATE INDEX identity_verification_template_id_1fb1ed85 ON identity_verification USING btree (template_id);
CREATE INDEX inbox_message_handled_at ON inbox_message USING btree (handled_at);
CREATE INDEX oauth2_prov_token_f_996e8a_idx ON oauth2_provider_refreshtoken USING btree (token_family);
CREATE INDEX oauth2_provider_accesstoken_application_id_b22886e1 ON oauth2_provider_accesstoken USING btree (application_id);
CREATE INDEX oauth2_provider_accesstoken_token_checksum_85319a26_like ON oauth2_provider_accesstoken USING btree (token_checksum varchar_pattern_ops);
CREATE INDEX oauth2_provider_accesstoken_user_id_6e4c9a65 ON oauth2_provider_accesstoken USING btree (user_id);
CREATE INDEX oauth2_provider_devicegrant_client_id_229dd06d ON oauth2_provider_devicegrant USING btree (client_id);
CREATE INDEX oauth2_provider_devicegrant_client_id_229dd06d_like ON oauth2_provider_devicegrant USING btree (client_id varchar_pattern_ops);
CREATE INDEX oauth2_provider_devicegrant_user_id_1cec5156 ON oauth2_provider_devicegrant USING btree (user_id);
CREATE INDEX oauth2_provider_grant_application_id_81923564 ON oauth2_provider_grant USING btree (application_id);
CREATE INDEX oauth2_provider_grant_code_49ab4ddf_like ON oauth2_provider_grant USING btree (code varchar_pattern_ops);
CREATE INDEX oauth2_provider_grant_user_id_e8f62af8 ON oauth2_provider_grant USING btree (user_id);
CREATE INDEX oauth2_provider_idtoken_application_id_08c5ff4f ON oauth2_provider_idtoken USING btree (application_id);
CREATE INDEX oauth2_provider_idtoken_user_id_dd512b59 ON oauth2_provider_idtoken USING btree (user_id);
CREATE INDEX oauth2_provider_refreshtoken_application_id_2d1c311b ON oauth2_provider_refreshtoken USING btree (application_id);
CREATE INDEX oauth2_provider_refreshtoken_user_id_da837fce ON oauth2_provider_refreshtoken USING btree (user_id);
CREATE UNIQUE INDEX organizationkey_one_active ON keyring_organizationkey USING btree (purpose) WHERE ((state)::text = 'active'::text);
CREATE INDEX otp_static_staticdevice_user_id_7f9cff2b ON otp_static_staticdevice USING btree (user_id);
CREATE INDEX otp_static_statictoken_device_id_74b7c7d1 ON otp_static_statictoken USING btree (device_id);
CREATE INDEX otp_static_statictoken_token_d0a51866 ON otp_static_statictoken USING btree (token);
CREATE INDEX otp_static_statictoken_token_d0a51866_like ON otp_static_statictoken USING btree (token varchar_pattern_ops);
CREATE INDEX otp_totp_totpdevice_user_id_0fb18292 ON otp_totp_totpdevice USING btree (user_id);
CREATE INDEX payment_of_person ON payments_payment USING btree (person_id, id DESC);
CREATE INDEX payment_undecided ON payments_payment USING btree (next_check_at, id) WHERE (((status)::text = ANY ((ARRAY['pending'::character varying, 'unknown'::character varying])::text[])) OR (open_operations > 0));
CREATE INDEX payments_capture_attempt_id_ece9acbd ON payments_capture USING btree (attempt_id);
CREATE INDEX payments_capture_payment_id_78db5fb1 ON payments_capture USING btree (payment_id);
CREATE INDEX payments_ledgeraccount_provider_account_id_c34a9cfa ON payments_ledgeraccount USING btree (provider_account_id);
CREATE INDEX payments_payment_payment_method_id_c909ff25 ON payments_payment USING btree (payment_method_id);
CREATE INDEX payments_paymentmethod_person_id_33e839cc ON payments_paymentmethod USING btree (person_id);
CREATE INDEX payments_providertoken_provider_account_id_a498fb49 ON payments_providertoken USING btree (provider_account_id);
CREATE INDEX payments_refund_attempt_id_0b419ab4 ON payments_refund USING btree (attempt_id);
CREATE INDEX payments_refund_payment_id_a70693f7 ON payments_refund USING btree (payment_id);
CREATE INDEX payments_transfer_credit_account_id_01990b6f ON payments_transfer USING btree (credit_account_id);
CREATE INDEX payments_transfer_debit_account_id_c4cbb382 ON payments_transfer USING btree (debit_account_id);
CREATE INDEX payments_transfer_provider_event_id_7fc8ecd5 ON payments_transfer USING btree (provider_event_id);
CREATE INDEX payments_void_attempt_id_126ae8b6 ON payments_void USING btree (attempt_id);
CREATE INDEX payments_void_payment_id_b36f3273 ON payments_void USING btree (payment_id);
CREATE INDEX personkey_rotation ON keyring_personkey USING btree (purpose, organization_key_version, id);
CREATE UNIQUE INDEX sites_site_name ON sites_site USING btree (parent_id, lower((name)::text)) NULLS NOT DISTINCT;
CREATE INDEX sites_site_parent_id_f09e56c3 ON sites_site USING btree (parent_id);
CREATE INDEX template_gallery ON identity_template USING btree (modality, model) WHERE ((state)::text = 'active'::text);
CREATE UNIQUE INDEX template_one_active ON identity_template USING btree (person_id, modality, model) WHERE ((state)::text = 'active'::text);
CREATE INDEX transfer_of_payment ON payments_transfer USING btree (payment_id, id);
CREATE INDEX transfer_of_transaction ON payments_transfer USING btree (transaction_id);
CREATE UNIQUE INDEX void_one_per_payment ON payments_void USING btree (payment_id) WHERE (NOT ((status)::text = ANY ((ARRAY['refused'::character varying, 'failed'::character varying])::text[])));
CREATE INDEX webhooks_delivery_event_id_b6f5af91 ON webhooks_delivery USING btree (event_id);
CREATE INDEX webhooks_secret_endpoint_id_d9f89665 ON webhooks_secret USING btree (endpoint_id);
INSERT INTO django_migrations (app, name, applied) VALUES
('access', '0001_pre_initial', now()),
('access', '0002_pre_roles_groups_spends', now()),
('access', '0003_pre_grant_limits', now()),
('access', '0004_pre_validate_grant_limits', now()),
('access', '0005_pre_authorizations', now()),
('accounts', '0001_pre_initial', now()),
('accounts', '0002_pre_sign_in', now()),
('accounts', '0003_pre_add_joined_at', now()),
('admin', '0001_initial', now()),
('admin', '0002_logentry_remove_auto_add', now()),
('admin', '0003_logentry_add_action_flag_choices', now()),
('audit', '0001_pre_initial', now()),
('audit', '0002_pre_add_source', now()),
('audit', '0003_pre_index_action', now()),
('audit', '0004_pre_index_actor', now()),
('audit', '0005_pre_index_time', now()),
('audit', '0006_pre_add_setting', now()),
('auth', '0001_initial', now()),
('auth', '0002_alter_permission_name_max_length', now()),
('auth', '0003_alter_user_email_max_length', now()),
('auth', '0004_alter_user_username_opts', now()),
('auth', '0005_alter_user_last_login_null', now()),
('auth', '0006_require_contenttypes_0002', now()),
('auth', '0007_alter_validators_add_error_messages', now()),
('auth', '0008_alter_user_username_max_length', now()),
('auth', '0009_alter_user_last_name_max_length', now()),
('auth', '0010_alter_group_name_max_length', now()),
('auth', '0011_update_proxy_permissions', now()),
('auth', '0012_alter_user_first_name_max_length', now()),
('checkouts', '0001_pre_initial', now()),
('checkouts', '0002_post_drop_covered_indexes', now()),
('contenttypes', '0001_initial', now()),
('contenttypes', '0002_remove_content_type_name', now()),
('devices', '0001_pre_initial', now()),
('devices', '0002_post_drop_covered_indexes', now()),
('devices', '0003_pre_add_device_states', now()),
('devices', '0004_pre_validate_device_states', now()),
('events', '0001_pre_initial', now()),
('idempotency', '0001_pre_initial', now()),
('identity', '0001_pre_initial', now()),
('identity', '0002_post_drop_covered_indexes', now()),
('inbox', '0001_pre_initial', now()),
('keyring', '0001_pre_initial', now()),
('oauth2_provider', '0001_initial', now()),
('oauth2_provider', '0002_auto_20190406_1805', now()),
('oauth2_provider', '0003_auto_20201211_1314', now()),
('oauth2_provider', '0004_auto_20200902_2022', now()),
('oauth2_provider', '0005_auto_20211222_2352', now()),
('oauth2_provider', '0006_alter_application_client_secret', now()),
('oauth2_provider', '0007_application_post_logout_redirect_uris', now()),
('oauth2_provider', '0008_alter_accesstoken_token', now()),
('oauth2_provider', '0009_add_hash_client_secret', now()),
('oauth2_provider', '0010_application_allowed_origins', now()),
('oauth2_provider', '0011_refreshtoken_token_family', now()),
('oauth2_provider', '0012_add_token_checksum', now()),
('oauth2_provider', '0013_alter_application_authorization_grant_type_device', now()),
('oauth2_provider', '0014_alter_help_text', now()),
('oauth2_provider', '0015_refreshtoken_token_checksum', now()),
('oauth2_provider', '0016_alter_devicegrant_scope', now()),
('oauth2_provider', '0017_application_dcr_created', now()),
('oauth2_provider', '0018_resource_indicators', now()),
('oauth2_provider', '0019_application_registration_source', now()),
('oauth2_provider', '0020_cimd_application_fields', now()),
('oauth2_provider', '0021_translatable_field_labels', now()),
('oauth2_provider', '0022_refreshtoken_token_family_index', now()),
('operator_log', '0001_pre_initial', now()),
('operators', '0001_pre_initial', now()),
('operators', '0002_pre_impersonation', now()),
('organizations', '0001_pre_initial', now()),
('organizations', '0002_pre_router_reads', now()),
('organizations', '0003_pre_fixed_at_birth', now()),
('organizations', '0004_pre_life', now()),
('organizations', '0005_pre_validate_life', now()),
('otp_static', '0001_initial', now()),
('otp_static', '0002_throttling', now()),
('otp_static', '0003_add_timestamps', now()),
('otp_totp', '0001_initial', now()),
('otp_totp', '0002_auto_20190420_0723', now()),
('otp_totp', '0003_add_timestamps', now()),
('outbox', '0001_pre_initial', now()),
('outbox', '0002_pre_wall', now()),
('payments', '0001_pre_initial', now()),
('payments', '0002_pre_composite_keys', now()),
('payments', '0003_post_drop_covered_indexes', now()),
('plans', '0001_pre_initial', now()),
('provisioning', '0001_pre_initial', now()),
('provisioning', '0002_pre_ready_schemas', now()),
('provisioning', '0003_pre_life', now()),
('provisioning', '0004_pre_add_backup', now()),
('provisioning', '0005_pre_fleet', now()),
('provisioning', '0006_pre_drop_unused_choices', now()),
('provisioning', '0007_pre_validate_choices', now()),
('signin', '0001_pre_initial', now()),
('sites', '0001_pre_initial', now()),
('usage', '0001_pre_initial', now()),
('webhooks', '0001_pre_initial', now()),
('webhooks', '0002_post_drop_covered_indexes', now());
