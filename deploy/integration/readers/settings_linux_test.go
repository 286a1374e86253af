//go:build integration

package readers

import (
	"strings"
	"testing"

	"github.com/flowsnitch/flowsnitch/configs"
)

// TestSettings: parsers of other projects read the settings for Logstash and Splunk.
func TestSettings(t *testing.T) {
	snake := python(t, "logstash-pipeline-parser==0.0.3", "addonfactory-splunk-conf-parser-lib==1.0.0")
	const logstash = `
import sys
from logstash_pipeline_parser import Pipeline
print(Pipeline(sys.stdin.read()).parse())
`
	const splunk = `
import sys
from addonfactory_splunk_conf_parser_lib import TABConfigParser
p = TABConfigParser()
p.read_file(sys.stdin)
for stanza in p.sections():
    for key, value in p.items(stanza):
        print(stanza, key, value, sep="\t")
`
	for _, tt := range []struct{ name, script, want string }{
		{"logstash/flowsnitch.conf", logstash, "flowsnitch.alerts"},
		{"splunk/props.conf", splunk, "flowsnitch\tTIME_PREFIX\t\"@timestamp\":\"\n"},
		{"splunk/inputs.conf", splunk, "\tsourcetype\tflowsnitch\n"},
	} {
		artifact, err := configs.Artifact(tt.name)
		if err != nil {
			t.Fatal(err)
		}
		if out := run(t, artifact, snake, "-c", tt.script); !strings.Contains(out, tt.want) {
			t.Errorf("%s: no %q in\n%s", tt.name, tt.want, out)
		}
	}
}
