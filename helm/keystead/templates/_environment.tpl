{{/* One variable out of a Secret: (dict "name" .. "from" .Values.redis) */}}
{{- define "keystead.secretVariable" -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ required (printf "%s: existingSecret is missing" .name) .from.existingSecret }}
      key: {{ .from.key }}
{{- end }}

{{/* What each process of the platform itself is told. Which login it gets is the caller's decision. */}}
{{- define "keystead.environment" -}}
{{- $values := .root.Values -}}
- {name: KEYSTEAD_ENVIRONMENT, value: production}
- {name: KEYSTEAD_PROCESS, value: {{ .component }}}
- {name: KEYSTEAD_LOG_LEVEL, value: {{ $values.logLevel }}}
- name: KEYSTEAD_BASE_URL
  value: {{ $values.baseUrl | quote }}
{{- with $values.gatewayBaseUrl }}
- name: KEYSTEAD_GATEWAY_BASE_URL
  value: {{ . | quote }}
{{- end }}
{{- with $values.ingress.trustedProxies }}
- name: KEYSTEAD_TRUSTED_PROXIES
  value: {{ join "," . | quote }}
{{- end }}
- name: KEYSTEAD_KMS_URL
  value: {{ $values.kms.url | quote }}
- name: KEYSTEAD_BLOB_URL
  value: {{ $values.blobs.url | quote }}
- name: KEYSTEAD_MATCHER_URL
  value: http://{{ include "keystead.name" (dict "root" .root "component" "matcher") }}:8100
- name: KEYSTEAD_SERVICE_KEY_FILE
  value: /run/keystead/service-key/private.pem
{{ include "keystead.isolation" . }}
{{ include "keystead.secretVariable" (dict "name" "KEYSTEAD_REDIS_URL" "from" $values.redis) }}
{{ include "keystead.secretVariable" (dict "name" "KEYSTEAD_SECRET_KEY" "from" $values.secretKey) }}
{{- if $values.mail.existingSecret }}
{{ include "keystead.secretVariable" (dict "name" "KEYSTEAD_MAIL_URL" "from" $values.mail) }}
{{- end }}
{{- with $values.mail.from }}
- name: KEYSTEAD_MAIL_FROM
  value: {{ . | quote }}
{{- end }}
{{- if $values.identityProviderAllowPrivate }}
- {name: KEYSTEAD_IDENTITY_PROVIDER_ALLOW_PRIVATE, value: "true"}
{{- end }}
{{- end }}

{{/* How organizations are kept apart in PostgreSQL, the same for every process. */}}
{{- define "keystead.isolation" -}}
- {name: KEYSTEAD_ISOLATION, value: {{ .root.Values.database.isolation }}}
{{- if or (eq .root.Values.database.isolation "login") .root.Values.database.login.existingSecret }}
{{ include "keystead.secretVariable" (dict "name" "KEYSTEAD_LOGIN_SECRET" "from" .root.Values.database.login) }}
{{- end }}
{{- end }}

{{- define "keystead.appLogin" -}}
{{ include "keystead.secretVariable" (dict "name" "KEYSTEAD_DATABASE_URL" "from" .root.Values.database.app) }}
{{- end }}

{{- define "keystead.ownerLogin" -}}
{{ include "keystead.secretVariable" (dict "name" "KEYSTEAD_OWNER_DATABASE_URL" "from" .root.Values.database.owner) }}
{{- end }}

{{/* The private half of the service key and the erasure journal: for the callers of the matcher. */}}
{{- define "keystead.volumeMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: service-key, mountPath: /run/keystead/service-key, readOnly: true}
{{- if .root.Values.blobs.existingClaim }}
- {name: blobs, mountPath: /var/lib/keystead/blobs}
{{- end }}
{{- end }}

{{- define "keystead.volumes" -}}
- name: tmp
  emptyDir: {}
- name: service-key
  secret:
    secretName: {{ required "serviceKey.existingSecret is missing" .root.Values.serviceKey.existingSecret }}
    items:
      - {key: {{ .root.Values.serviceKey.privateKey | quote }}, path: private.pem}
    defaultMode: 0440
{{- with .root.Values.blobs.existingClaim }}
- name: blobs
  persistentVolumeClaim:
    claimName: {{ . }}
{{- end }}
{{- end }}
