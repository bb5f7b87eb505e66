{{- define "grapevine.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "grapevine.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{ include "grapevine.selector" . }}
{{- end -}}

{{- define "grapevine.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "grapevine.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "grapevine.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "grapevine.image" -}}
{{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end -}}

{{/* What every pod has. Arguments: root, name of the component. */}}
{{- define "grapevine.podAnnotations" -}}
# A changed configuration restarts the pods.
checksum/config: {{ include "grapevine.toml" .root | sha256sum }}
{{- end -}}

{{- define "grapevine.toml" -}}
{{- range $section, $keys := .Values.config }}
{{- if kindIs "map" $keys }}
{{- if $keys }}
{{ toToml (dict $section $keys) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "grapevine.podSpec" -}}
serviceAccountName: {{ include "grapevine.serviceAccount" .root }}
terminationGracePeriodSeconds: {{ add .root.Values.graceSeconds 5 }}
{{ include "grapevine.confined" .root }}
{{- end -}}

{{/* Of every pod, the one of the Job too. */}}
{{- define "grapevine.confined" -}}
automountServiceAccountToken: false
# Kubernetes would make GRAPEVINE_COLLECT_PORT and the like of the Services, and the program refuses a
# GRAPEVINE_ variable that it does not know.
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  # Secrets are mounted for their group alone.
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "grapevine.container" -}}
image: {{ include "grapevine.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources: {{- toYaml .resources | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /etc/grapevine/config
    readOnly: true
  - name: data
    mountPath: /var/lib/grapevine
  {{- range $index, $mount := .root.Values.secretMounts }}
  - name: secret-{{ $index }}
    mountPath: {{ $mount.path }}
    readOnly: true
  {{- end }}
{{- end -}}

{{- define "grapevine.env" -}}
- name: GRAPEVINE_CONFIG
  value: /etc/grapevine/config/grapevine.toml
- name: GRAPEVINE_DATA_DIR
  value: /var/lib/grapevine
- name: GRAPEVINE_OPERATIONS__LISTEN
  value: 0.0.0.0:9464
- name: GRAPEVINE_OPERATIONS__GRACE_SECONDS
  value: {{ .Values.graceSeconds | quote }}
{{- with .Values.environment }}
{{ toYaml . }}
{{- end }}
{{- range .Values.secrets }}
- name: GRAPEVINE_{{ .key | replace "." "__" | upper }}
  valueFrom:
    secretKeyRef:
      name: {{ .secret }}
      key: {{ .secretKey }}
{{- end }}
{{- end -}}

{{/* What a replica is called in its consumer group and its transactions: the same after a restart. */}}
{{- define "grapevine.replica" -}}
- name: GRAPEVINE_KAFKA__REPLICA
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end -}}

{{- define "grapevine.probes" -}}
startupProbe:
  httpGet: {path: /health/live, port: operations}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /health/live, port: operations}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
readinessProbe:
  httpGet: {path: /health/ready, port: operations}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{- define "grapevine.volumes" -}}
- name: config
  configMap:
    name: {{ include "grapevine.fullname" . }}
{{- range $index, $mount := .Values.secretMounts }}
- name: secret-{{ $index }}
  secret:
    secretName: {{ $mount.secret }}
    defaultMode: 0440
{{- end }}
{{- end -}}

{{- define "grapevine.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Replicas on different nodes where there are several. Arguments: root, component. */}}
{{- define "grapevine.spread" -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "grapevine.selector" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
{{- end -}}
