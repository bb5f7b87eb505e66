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
{{- $keys = deepCopy $keys }}
{{- include "grapevine.whole" $keys }}
{{ toToml (dict $section $keys) }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* To Helm every number is a fraction: it would write 24 as 24.0, which is no number of partitions. Changes
the map that it is given. */}}
{{- define "grapevine.whole" -}}
{{- range $key, $value := . -}}
{{- if kindIs "map" $value -}}
{{- include "grapevine.whole" $value -}}
{{- else if and (kindIs "float64" $value) (eq $value (floor $value)) -}}
{{- $_ := set $ $key (int64 $value) -}}
{{- end -}}
{{- end -}}
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

{{/* The workloads of enrich, as JSON: component, stage, and the values that it goes by. Both stages in each
pod of one StatefulSet, or a StatefulSet of each. */}}
{{- define "grapevine.enrich" -}}
{{- $stages := .Values.enrich.stages -}}
{{- $together := has "all" $stages -}}
{{- if and $together (gt (len $stages) 1) -}}
{{- fail "enrich.stages: all runs both stages in each pod, so nothing stands beside it; to scale each by itself write [classify, chain]" -}}
{{- end -}}
{{- with .Values.enrich.stage -}}
{{- if not $together -}}
{{- fail "enrich.stage: say what runs in enrich.stages alone" -}}
{{- end -}}
{{- end -}}
{{- $workloads := list -}}
{{- range $stage := $stages -}}
{{- $own := default dict (get $.Values.enrich $stage) -}}
{{- $values := omit (deepCopy $.Values.enrich) "stage" "stages" "classify" "chain" -}}
{{- range $key, $value := $own -}}
{{- /* A limit or a threshold alone changes that one; everything else is taken as it is said. */ -}}
{{- if has $key (list "resources" "autoscaling") -}}
{{- $value = include "grapevine.over" (dict "below" (get $values $key) "above" $value) | fromJson -}}
{{- end -}}
{{- $_ := set $values $key $value -}}
{{- end -}}
{{- if $together -}}
{{- $workloads = append $workloads (dict "component" "enrich" "stage" (default "all" $.Values.enrich.stage) "values" $values) -}}
{{- else -}}
{{- $workloads = append $workloads (dict "component" $stage "stage" $stage "values" $values) -}}
{{- end -}}
{{- end -}}
{{- toJson $workloads -}}
{{- end -}}

{{/* `above` laid over `below`, map by map. mergeOverwrite would leave out what is false or 0. */}}
{{- define "grapevine.over" -}}
{{- $result := deepCopy (default dict .below) -}}
{{- range $key, $value := .above -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $result $key)) -}}
{{- $value = include "grapevine.over" (dict "below" (get $result $key) "above" $value) | fromJson -}}
{{- end -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $result $key -}}
{{- else -}}
{{- $_ := set $result $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $result -}}
{{- end -}}

{{/* What the objects of a workload of enrich are called. A StatefulSet's name has room for 52 letters: its
pods carry it as a label, with a hash. Arguments: root, component. */}}
{{- define "grapevine.enrichName" -}}
{{- $name := include "grapevine.fullname" .root -}}
{{- if ne .component "enrich" -}}
{{- $name = $name | trunc (int (sub 51 (len .component))) | trimSuffix "-" -}}
{{- end -}}
{{- printf "%s-%s" $name .component -}}
{{- end -}}

{{/* One of the two: minAvailable beside the maxUnavailable of the chart's own values would be refused. */}}
{{- define "grapevine.budget" -}}
{{- if hasKey . "minAvailable" -}}
minAvailable: {{ .minAvailable }}
{{- else -}}
maxUnavailable: {{ .maxUnavailable }}
{{- end -}}
{{- end -}}
