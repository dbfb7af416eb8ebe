{{- define "dgp.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "dgp.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "dgp.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "dgp.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "dgp.selector" -}}
app.kubernetes.io/name: {{ include "dgp.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dgp.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "dgp.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "dgp.secret" -}}
{{- default (include "dgp.fullname" .) .Values.auth.existingSecret -}}
{{- end -}}

{{- define "dgp.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "dgp.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "dgp.check" -}}
{{- if and (or (gt (int .Values.replicaCount) 1) .Values.autoscaling.enabled) (not .Values.allowSeveral) -}}
{{- fail "replicaCount > 1 and autoscaling need storage on an S3 service and a database that all replicas share (advanced.database_url or advanced.config_sync_bucket); if config.content says so, set allowSeveral=true" -}}
{{- end -}}
{{- if and .Values.allowSeveral .Values.persistence.enabled (not (has "ReadWriteMany" .Values.persistence.accessModes)) (or (gt (int .Values.replicaCount) 1) .Values.autoscaling.enabled) -}}
{{- fail "several replicas cannot share a ReadWriteOnce volume: set persistence.enabled=false, or accessModes to [ReadWriteMany] with advanced.database_url" -}}
{{- end -}}
{{- if not (or .Values.auth.existingSecret (and .Values.auth.accessKeyId .Values.auth.secretAccessKey .Values.auth.bootstrapPasswordHash)) -}}
{{- fail "name auth.existingSecret, or set auth.accessKeyId, auth.secretAccessKey and auth.bootstrapPasswordHash" -}}
{{- end -}}
{{- end -}}
