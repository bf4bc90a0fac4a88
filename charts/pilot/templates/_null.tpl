{{- /*
Values that are null and may not be, as a list of sentences (YAML). Helm takes a default away where a value is null, and a
section whose lines are all comments is null; nothing else would say so, and templates would end in the middle.
*/ -}}
{{- define "pilot.nullFaults" -}}
{{- $faults := list -}}
{{- $told := list -}}
{{- range $path := .Files.Lines "files/needed.txt" -}}
{{- $found := $.Values -}}
{{- $missing := false -}}
{{- range splitList "." $path -}}
{{- if and (not $missing) (kindIs "map" $found) -}}
{{- $found = index $found . -}}
{{- $missing = kindIs "invalid" $found -}}
{{- end -}}
{{- end -}}
{{- $above := regexReplaceAll "[.][^.]*$" $path "" -}}
{{- if and $path $missing (not (has $above $told)) -}}
{{- $faults = append $faults (printf "%s is null, which takes its default away: give it a value, or leave the key out" $path) -}}
{{- end -}}
{{- if $missing -}}{{- $told = append $told $path -}}{{- end -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}
