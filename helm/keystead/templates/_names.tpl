{{/* Every template below takes (dict "root" $ "component" "api"). */}}

{{- define "keystead.name" -}}
{{- printf "%s-%s" (.root.Release.Name | trunc 40 | trimSuffix "-") .component -}}
{{- end }}

{{- define "keystead.selector" -}}
app.kubernetes.io/name: keystead
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "keystead.labels" -}}
{{ include "keystead.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "keystead.metadata" -}}
name: {{ include "keystead.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "keystead.labels" . | nindent 2 }}
{{- end }}

{{- define "keystead.image" -}}
{{- with .root.Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.root.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "keystead.platformHost" -}}
{{- printf "platform.%s" (get (urlParse .root.Values.baseUrl) "hostname") -}}
{{- end }}
