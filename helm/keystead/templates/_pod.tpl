{{/* The parts of a pod that all components share. */}}
{{- define "keystead.pod" -}}
{{- $own := index .root.Values .component -}}
serviceAccountName: {{ include "keystead.name" . }}
automountServiceAccountToken: false
# Service links would inject KEYSTEAD_* variables that are no settings of ours.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.terminationGracePeriodSeconds }}
terminationGracePeriodSeconds: {{ . }}
{{- end }}
{{- with $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- else }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "keystead.selector" . | nindent 8 }}
{{- end }}
{{- end }}

{{- define "keystead.container" -}}
name: {{ .component }}
image: {{ include "keystead.image" . | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources:
  {{- toYaml (index .root.Values .component).resources | nindent 2 }}
{{- end }}

{{/* The head of a Deployment, up to and without the pod's spec. */}}
{{- define "keystead.deployment" -}}
{{- $own := index .root.Values .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "keystead.metadata" . | nindent 2 }}
spec:
  {{- if not (dig "autoscaling" "enabled" false $own) }}
  replicas: {{ $own.replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "keystead.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "keystead.labels" . | nindent 8 }}
      {{- with $own.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}

{{- define "keystead.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "keystead.metadata" . | nindent 2 }}
  {{- with (index .root.Values .component).serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}

{{- define "keystead.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "keystead.metadata" . | nindent 2 }}
spec:
  selector:
    {{- include "keystead.selector" . | nindent 4 }}
  ports:
    - {name: http, port: {{ .port }}, targetPort: http}
{{- end }}

{{- define "keystead.podDisruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "keystead.metadata" . | nindent 2 }}
spec:
  {{- toYaml (index .root.Values .component).disruption | nindent 2 }}
  selector:
    matchLabels:
      {{- include "keystead.selector" . | nindent 6 }}
{{- end }}

{{- define "keystead.autoscaler" -}}
{{- $scaling := (index .root.Values .component).autoscaling -}}
{{- if $scaling.enabled -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "keystead.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "keystead.name" . }}
  minReplicas: {{ $scaling.minReplicas }}
  maxReplicas: {{ $scaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ $scaling.cpuPercent }}}
{{- end }}
{{- end }}

{{/* Ingress only. `from` is a list of peers, `port` a number; without a port nothing gets in. */}}
{{- define "keystead.networkPolicy" -}}
{{- if .root.Values.networkPolicy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "keystead.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "keystead.selector" . | nindent 6 }}
  policyTypes: [Ingress]
  {{- if .port }}
  ingress:
    - ports:
        - {protocol: TCP, port: {{ .port }}}
      {{- with .from }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- else }}
  ingress: []
  {{- end }}
{{- end }}
{{- end }}
