package form

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/flowsnitch/flowsnitch/flow"
	"github.com/flowsnitch/flowsnitch/intel/event"
	"github.com/flowsnitch/flowsnitch/intel/event/eventtest"
	"github.com/google/uuid"
)

const kvLine = `hit src=10.0.0.5 spt=51515 dst=203.0.113.9 dpt=443 proto=tcp feed=feodo sev=critical dir=outbound ` +
	`id=0192f7c0-1234-7abc-8def-0123456789ab time=2026-11-20T23:00:00.123Z offender=203.0.113.9 local=10.0.0.5 role=dst answered=yes ` +
	`blocked=no score=95 category=c2 indicator=203.0.113.9/32 tlp=white listings=2 flows=1 packets=5 bytes=1234 packets_back=4 bytes_back=5210 ` +
	`tcp_flags=APSF sampling=1 start=2026-11-20T22:59:58.123Z end=2026-11-20T22:59:59.123Z clock=ok exporter=192.0.2.1 version=9 in_if=1 out_if=2 ` +
	`nat_src=198.51.100.7 sensor="pi-oslo" exporter_name="edge-1" community_id="1:abc\=" intel_version="7f3a" ` +
	`reason="c2 listed by feodo (90), otx (75); outbound, answered" ref="https://example.net/9"` + "\n"

const kvAlert = `alert src=- spt=0 dst=- dpt=0 proto=- feed=otx sev=high dir=- id=0192f7c0-1234-7abc-8def-0123456789ab ` +
	`time=2026-11-20T23:00:00.123Z alert=own_address_listed offender=198.51.100.7 category=c2 indicator=198.51.100.7/32 listings=1 ` +
	`sensor="pi-oslo" reason="our 198.51.100.7 is listed by otx"` + "\n"

const cefLine = `CEF:0|flowsnitch|flowsnitch|0|c2|Blacklist hit|10|rt=1795215600123 src=10.0.0.5 dst=203.0.113.9 spt=51515 dpt=443 proto=tcp ` +
	`deviceDirection=1 externalId=0192f7c0-1234-7abc-8def-0123456789ab cat=hit cs1Label=feed cs1=feodo cs2Label=indicator cs2=203.0.113.9/32 ` +
	`cs3Label=offender cs3=203.0.113.9 cn1Label=score cn1=95 cs4Label=answered cs4=yes msg=c2 listed by feodo (90), otx (75); outbound, answered ` +
	`cs5Label=reference cs5=https://example.net/9 cnt=1 in=1234 out=5210 cn2Label=packets cn2=5 cn3Label=packets back cn3=4 ` +
	`start=1795215598123 end=1795215599123 sourceTranslatedAddress=198.51.100.7 dvc=192.0.2.1 dvchost=edge-1 flowsnitchVersion=9 deviceExternalId=pi-oslo` + "\n"

const cefAlert = `CEF:0|flowsnitch|flowsnitch|0|own_address_listed|Alert|8|rt=1795215600123 externalId=0192f7c0-1234-7abc-8def-0123456789ab cat=alert ` +
	`cs1Label=feed cs1=otx cs2Label=indicator cs2=198.51.100.7/32 cs3Label=offender cs3=198.51.100.7 msg=our 198.51.100.7 is listed by otx ` +
	`deviceExternalId=pi-oslo` + "\n"

const leefLine = `LEEF:2.0|flowsnitch|flowsnitch|0|c2|^|cat=hit^sev=10^devTime=2026-11-20T23:00:00.123Z^devTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX^` +
	`src=10.0.0.5^dst=203.0.113.9^srcPort=51515^dstPort=443^proto=tcp^direction=outbound^answered=yes^blocked=no^score=95^flows=1^` +
	`srcPackets=5^srcBytes=1234^dstPackets=4^dstBytes=5210^srcPostNAT=198.51.100.7^id=0192f7c0-1234-7abc-8def-0123456789ab^` +
	`offender=203.0.113.9^local=10.0.0.5^feed=feodo^category=c2^indicator=203.0.113.9/32^exporter=192.0.2.1^exporterName=edge-1^version=9^` +
	`sensor=pi-oslo^msg=c2 listed by feodo (90), otx (75); outbound, answered^reference=https://example.net/9` + "\n"

const leefAlert = `LEEF:2.0|flowsnitch|flowsnitch|0|own_address_listed|^|cat=alert^sev=8^devTime=2026-11-20T23:00:00.123Z^` +
	`devTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX^id=0192f7c0-1234-7abc-8def-0123456789ab^offender=198.51.100.7^feed=otx^category=c2^` +
	`indicator=198.51.100.7/32^sensor=pi-oslo^msg=our 198.51.100.7 is listed by otx` + "\n"

const ecsLine = `{"@timestamp":"2026-11-20T23:00:00.123Z","ecs":{"version":"8.11.0"},"message":"c2 listed by feodo (90), otx (75); outbound, answered",` +
	`"event":{"kind":"alert","category":["network","intrusion_detection"],"type":["connection","info"],"action":"hit","module":"flowsnitch",` +
	`"dataset":"flowsnitch.hit","id":"0192f7c0-1234-7abc-8def-0123456789ab","severity":99,"risk_score":95,` +
	`"reason":"c2 listed by feodo (90), otx (75); outbound, answered","reference":"https://example.net/9",` +
	`"start":"2026-11-20T22:59:58.123Z","end":"2026-11-20T22:59:59.123Z","duration":1000000000},` +
	`"source":{"ip":"10.0.0.5","port":51515,"nat":{"ip":"198.51.100.7"},"packets":5,"bytes":1234},` +
	`"destination":{"ip":"203.0.113.9","port":443,"packets":4,"bytes":5210},` +
	`"network":{"transport":"tcp","iana_number":"6","type":"ipv4","direction":"outbound","community_id":"1:abc=","packets":9,"bytes":6444},` +
	`"observer":{"ip":["192.0.2.1"],"name":"edge-1","ingress":{"interface":{"id":"1"}},"egress":{"interface":{"id":"2"}}},` +
	`"related":{"ip":["10.0.0.5","203.0.113.9","198.51.100.7"]},` +
	`"flowsnitch":{"sensor":"pi-oslo","severity":"critical","offender":"203.0.113.9","local":"10.0.0.5","role":"dst","answered":"yes","blocked":false,` +
	`"flows":1,"sampling":1,"clock":"ok","version":"9","category":"c2","indicator":"203.0.113.9/32","indicators_total":2,"intel_version":"7f3a"},` +
	`"threat":{"feed":{"name":"feodo"},"indicator":` + ecsFeodo + `,"enrichments":[{"indicator":` + ecsFeodo + `,"matched":` + ecsMatched + `},` +
	`{"indicator":{"type":"ipv4-addr","name":"203.0.113.0/24","provider":"otx","confidence":"High"},"matched":` + ecsMatched + `}]}}` + "\n"

const (
	ecsFeodo = `{"type":"ipv4-addr","ip":"203.0.113.9","name":"203.0.113.9/32","provider":"feodo","confidence":"High",` +
		`"first_seen":"2026-11-18T23:00:00.123Z","last_seen":"2026-11-20T22:00:00.123Z","reference":"https://example.net/9","marking":{"tlp":"WHITE"}}`
	ecsMatched = `{"atomic":"203.0.113.9","field":"destination.ip","type":"indicator_match_rule","occurred":"2026-11-20T23:00:00.123Z"}`
)

const ecsAlert = `{"@timestamp":"2026-11-20T23:00:00.123Z","ecs":{"version":"8.11.0"},"message":"our 198.51.100.7 is listed by otx",` +
	`"event":{"kind":"alert","category":["intrusion_detection"],"type":["info"],"action":"alert","code":"own_address_listed","module":"flowsnitch",` +
	`"dataset":"flowsnitch.alert","id":"0192f7c0-1234-7abc-8def-0123456789ab","severity":73,"risk_score":0,"reason":"our 198.51.100.7 is listed by otx"},` +
	`"related":{"ip":["198.51.100.7"]},"flowsnitch":{"sensor":"pi-oslo","severity":"high","offender":"198.51.100.7","category":"c2",` +
	`"indicator":"198.51.100.7/32","indicators_total":1},` +
	`"threat":{"feed":{"name":"otx"},"indicator":{"type":"ipv4-addr","ip":"198.51.100.7","name":"198.51.100.7/32","provider":"otx","confidence":"High"},` +
	`"enrichments":[{"indicator":{"type":"ipv4-addr","ip":"198.51.100.7","name":"198.51.100.7/32","provider":"otx","confidence":"High"},` +
	`"matched":{"atomic":"198.51.100.7","type":"indicator_match_rule","occurred":"2026-11-20T23:00:00.123Z"}}]}}` + "\n"

const ocsfLine = `{"category_uid":2,"class_uid":2004,"activity_id":1,"type_uid":200401,"severity_id":5,"time":1795215600123,` +
	`"message":"c2 listed by feodo (90), otx (75); outbound, answered","is_alert":true,"risk_score":95,"confidence_score":90,"confidence_id":3,` +
	`"metadata":{"version":"1.5.0","product":{"name":"flowsnitch","vendor_name":"flowsnitch"},"profiles":["osint"],` +
	`"uid":"0192f7c0-1234-7abc-8def-0123456789ab","event_code":"hit","log_provider":"pi-oslo"},` +
	`"finding_info":{"uid":"contact/203.0.113.9/10.0.0.5","title":"Blacklist hit","types":["c2"],"first_seen_time":1795215598123,` +
	`"last_seen_time":1795215599123,"src_url":"https://example.net/9"},` +
	`"evidences":[{"src_endpoint":{"ip":"10.0.0.5","port":51515},"dst_endpoint":{"ip":"203.0.113.9","port":443},` +
	`"connection_info":{"protocol_num":6,"protocol_name":"tcp","direction_id":2,"tcp_flags":27,"community_uid":"1:abc="}}],` +
	`"unmapped":{"offender":"203.0.113.9","local":"10.0.0.5","role":"dst","direction":"outbound","answered":"yes","blocked":false,"flows":1,` +
	`"packets":5,"bytes":1234,"packets_back":4,"bytes_back":5210,"sampling":1,"clock":"ok","version":"9","indicators_total":2,` +
	`"exporter":"192.0.2.1","exporter_name":"edge-1","in_if":1,"out_if":2,"nat_src":"198.51.100.7","intel_version":"7f3a"},` +
	`"osint":[{"type_id":1,"value":"203.0.113.9","vendor_name":"feodo","category":"c2","confidence_id":3,"created_time":1795042800123,` +
	`"modified_time":1795212000123,"src_url":"https://example.net/9","tlp":"WHITE"},` +
	`{"type_id":1,"value":"203.0.113.0/24","subnet":"203.0.113.0/24","vendor_name":"otx","uid":"pulse-1","category":"c2","confidence_id":3}]}` + "\n"

const ocsfAlert = `{"category_uid":2,"class_uid":2004,"activity_id":1,"type_uid":200401,"severity_id":4,"time":1795215600123,` +
	`"message":"our 198.51.100.7 is listed by otx","is_alert":true,"confidence_score":75,"confidence_id":3,` +
	`"metadata":{"version":"1.5.0","product":{"name":"flowsnitch","vendor_name":"flowsnitch"},"profiles":["osint"],` +
	`"uid":"0192f7c0-1234-7abc-8def-0123456789ab","event_code":"alert","log_provider":"pi-oslo"},` +
	`"finding_info":{"uid":"own_address_listed/198.51.100.7","title":"Alert","types":["own_address_listed"]},` +
	`"unmapped":{"alert":"own_address_listed","offender":"198.51.100.7","indicators_total":1},` +
	`"osint":[{"type_id":1,"value":"198.51.100.7","vendor_name":"otx","category":"c2","confidence_id":3}]}` + "\n"

// forms are all but the native one, with a reader of each that was written from
// the specification, not from the writer.
var forms = []struct {
	name       string
	hit, alert string
	keys       func(t *testing.T, line string) map[string]string // nil values for JSON
}{
	{Text, kvLine, kvAlert, readKV},
	{CEF, cefLine, cefAlert, readCEF},
	{LEEF, leefLine, leefAlert, readLEEF},
	{LEEF1, tabbed(leefLine), tabbed(leefAlert), readLEEF},
	{ECS, ecsLine, ecsAlert, readJSON},
	{OCSF, ocsfLine, ocsfAlert, readJSON},
}

func tabbed(line string) string {
	line = strings.Replace(strings.Replace(line, "LEEF:2.0", "LEEF:1.0", 1), "|^|", "|", 1)
	return strings.ReplaceAll(line, "^", "\t")
}

func format(t *testing.T, name string, o Options) func([]byte, *event.Event) []byte {
	t.Helper()
	f, err := ByName(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return f.Append
}

func TestFormatsWholeLine(t *testing.T) {
	for _, f := range forms {
		for _, tc := range []struct {
			event event.Event
			want  string
		}{{eventtest.Hit(), f.hit}, {eventtest.Alert(), f.alert}} {
			if got := string(format(t, f.name, Options{})([]byte("kept "), &tc.event)); got != "kept "+tc.want {
				t.Errorf("%s: got\n%s\nwant\nkept %s", f.name, got, tc.want)
			}
		}
	}
}

const contactID = "0192f7bf-1234-7abc-8def-0123456789ab"

// ofContact makes an event the last update of a folded contact.
func ofContact(e *event.Event) {
	e.Kind, e.Contact, e.Seq, e.Last = event.KindUpdate, uuid.MustParse(contactID), 3, true
	e.ServicePort, e.ContactFirstSeen, e.Answered, e.Refused = 443, eventtest.At.Add(-time.Hour), event.AnsweredNo, true
	e.Folded, e.Ports, e.PortsCapped, e.Hosts, e.HostsCapped = true, 9, true, 8, true
	e.Embedded = netip.MustParseAddr("192.0.2.9")
}

// exportedBy is how every form names the protocol of an export.
func exportedBy(name string) map[string][]string {
	return map[string][]string{
		Text: {" version=" + name + " "}, CEF: {" flowsnitchVersion=" + name + " "}, LEEF: {"^version=" + name + "^"},
		ECS: {`"version":"` + name + `"`}, OCSF: {`"version":"` + name + `"`},
	}
}

// TestFormatsFields changes one thing in the hit and looks for what it does to
// each form.
func TestFormatsFields(t *testing.T) {
	v6, other6 := netip.MustParseAddr("2001:db8::9"), netip.MustParseAddr("2001:db8::5")
	type wants map[string][]string // by form; a text with a leading ! must not be there
	for name, tc := range map[string]struct {
		change func(*event.Event)
		wants  wants
	}{
		"IPv6": {func(e *event.Event) { e.Src, e.Dst, e.Exporter, e.NATSrc = other6, v6, other6, v6 }, wants{
			Text: {" src=2001:db8::5 spt=51515 dst=2001:db8::9 ", " nat_src=2001:db8::9 "},
			CEF: {" c6a2Label=Source IPv6 Address c6a2=2001:db8::5 c6a3Label=Destination IPv6 Address c6a3=2001:db8::9 spt=51515",
				"! src=", "! dst=", "!Translated", " c6a1Label=Device IPv6 Address c6a1=2001:db8::5", "! dvc="},
			LEEF: {"^src=2001:db8::5^dst=2001:db8::9^"},
			ECS:  {`"type":"ipv6"`, `"source":{"ip":"2001:db8::5","port":51515,"nat":{"ip":"2001:db8::9"}`},
			OCSF: {`"src_endpoint":{"ip":"2001:db8::5","port":51515}`},
		}},
		"NAT": {func(e *event.Event) {
			e.NATDst, e.NATDstPort, e.NATSrcPort = v6.Next(), 8443, 1024
			e.NATDst = netip.MustParseAddr("192.0.2.80")
		}, wants{
			Text: {" nat_src=198.51.100.7 nat_src_port=1024 nat_dst=192.0.2.80 nat_dst_port=8443 "},
			CEF:  {" sourceTranslatedAddress=198.51.100.7 sourceTranslatedPort=1024 destinationTranslatedAddress=192.0.2.80 destinationTranslatedPort=8443 "},
			LEEF: {"^srcPostNAT=198.51.100.7^srcPostNATPort=1024^dstPostNAT=192.0.2.80^dstPostNATPort=8443^"},
			ECS:  {`"nat":{"ip":"198.51.100.7","port":1024}`, `"nat":{"ip":"192.0.2.80","port":8443}`, `"related":{"ip":["10.0.0.5","203.0.113.9","198.51.100.7","192.0.2.80"]}`},
			OCSF: {`"nat_src":"198.51.100.7","nat_src_port":1024,"nat_dst":"192.0.2.80","nat_dst_port":8443`},
		}},
		"inner": {func(e *event.Event) { e.InnerSrc, e.InnerDst, e.Offender, e.Role = e.Src, v6, v6, flow.SideInnerDst }, wants{
			Text: {" role=inner_dst ", " inner_src=10.0.0.5 inner_dst=2001:db8::9 "},
			ECS:  {`"field":"flowsnitch.inner.dst"`, `"inner":{"src":"10.0.0.5","dst":"2001:db8::9"}`},
			OCSF: {`"inner_src":"10.0.0.5","inner_dst":"2001:db8::9"`},
		}},
		"no ports": {func(e *event.Event) { e.HasPorts = false }, wants{
			Text: {"src=10.0.0.5 spt=0 dst=203.0.113.9 dpt=0 proto"}, CEF: {"!spt", "!dpt"}, LEEF: {"!Port"},
			ECS: {`!"port"`}, OCSF: {`!"port"`},
		}},
		"no protocol": {func(e *event.Event) { e.HasProtocol = false }, wants{
			Text: {" proto=- "}, CEF: {"!proto"}, LEEF: {"!proto"}, ECS: {"!transport", "!iana"}, OCSF: {"!protocol"},
		}},
		"inbound": {func(e *event.Event) { e.Direction = event.Inbound }, wants{
			Text: {" dir=inbound "}, CEF: {" deviceDirection=0 "}, ECS: {`"direction":"inbound"`}, OCSF: {`"direction_id":1`},
		}},
		"internal": {func(e *event.Event) { e.Direction = event.Internal }, wants{
			CEF: {"!deviceDirection"}, ECS: {`"direction":"internal"`}, OCSF: {`"direction_id":3,"tcp_flags"`},
		}},
		"transit": {func(e *event.Event) { e.Direction = event.Transit }, wants{
			Text: {" dir=transit "}, CEF: {"!deviceDirection"}, ECS: {`"direction":"external"`}, OCSF: {`"direction_id":99,"direction":"transit"`},
		}},
		"blocked": {func(e *event.Event) { e.Blocked = true }, wants{
			Text: {" blocked=yes "}, CEF: {" act=blocked "}, LEEF: {"^blocked=yes^"}, ECS: {`"type":["connection","denied"]`}, OCSF: {`"blocked":true`},
		}},
		"low": {func(e *event.Event) { e.Severity = event.Low }, wants{
			Text: {" sev=low "}, CEF: {"|Blacklist hit|3|"}, LEEF: {"^sev=3^"}, ECS: {`"severity":21`}, OCSF: {`"severity_id":2`},
		}},
		"medium": {func(e *event.Event) { e.Severity = event.Medium }, wants{
			Text: {" sev=medium "}, CEF: {"|Blacklist hit|5|"}, LEEF: {"^sev=5^"}, ECS: {`"severity":47`}, OCSF: {`"severity_id":3`},
		}},
		"high": {func(e *event.Event) { e.Severity = event.High }, wants{
			Text: {" sev=high "}, CEF: {"|Blacklist hit|8|"}, LEEF: {"^sev=8^"}, ECS: {`"severity":73`}, OCSF: {`"severity_id":4`},
		}},
		"update": {func(e *event.Event) { e.Kind = event.KindUpdate }, wants{
			Text: {"update src=10.0.0.5 spt="}, CEF: {"|c2|Blacklist contact update|10|", " cat=update "}, LEEF: {"|cat=update^"},
			ECS:  {`"kind":"event"`, `"action":"update"`, `"dataset":"flowsnitch.hit"`},
			OCSF: {`"activity_id":2,"type_uid":200402`, `"is_alert":false`, `"uid":"contact/203.0.113.9/10.0.0.5"`},
		}},
		"canary": {func(e *event.Event) { e.Kind = event.KindCanary }, wants{
			Text: {"canary src=10.0.0.5 spt="}, CEF: {"|canary|Canary|10|"}, LEEF: {"|canary|^|cat=canary^"},
			ECS: {`"kind":"event","action":"canary"`, `"dataset":"flowsnitch.canary"`, `!"category":[`, `!"type":[`}, OCSF: {`"is_alert":false`, `"uid":"canary/203.0.113.9/10.0.0.5"`},
		}},
		"no listing": {func(e *event.Event) { e.Indicators = nil }, wants{
			Text: {" feed=- "}, CEF: {"|0|listed|Blacklist hit|", "!cs1", "!cs5"}, LEEF: {"|listed|^|", "!feed"}, ECS: {"!threat"}, OCSF: {"!osint", "!profiles", "!confidence"},
		}},
		"beyond 63 bits": {func(e *event.Event) { e.Flows, e.Bytes, e.BytesBack = 1<<64-1, 1<<64-1, 0 }, wants{
			Text: {" flows=18446744073709551615 "}, ECS: {`"flows":9223372036854775807`, `"bytes":9223372036854775807`}, OCSF: {`"flows":9223372036854775807`},
		}},
		"strict amber": {func(e *event.Event) { e.Indicators[0].TLP = "amber+strict" }, wants{
			ECS: {`"tlp":"AMBER+STRICT"`}, OCSF: {`"tlp":"AMBER STRICT"`},
		}},
		"end before start": {func(e *event.Event) { e.End = e.Start.Add(-1) }, wants{ECS: {"!duration"}}},
		"a contact": {ofContact, wants{
			Text: {" contact=" + contactID + " seq=3 last=yes service_port=443 contact_first_seen=2026-11-20T22:00:00.123Z folded=yes ports=9 ports_capped=yes " +
				"hosts=8 hosts_capped=yes ", " answered=no refused=yes blocked=no ", " embedded=192.0.2.9 "},
			CEF: {" flexString1Label=contact flexString1=" + contactID + " flexNumber1Label=seq flexNumber1=3 flexNumber2Label=service port flexNumber2=443 " +
				"deviceCustomDate1Label=contact first seen deviceCustomDate1=1795212000123 flowsnitchLast=yes flowsnitchRefused=yes flowsnitchFolded=yes " +
				"flowsnitchPorts=9 flowsnitchPortsCapped=yes flowsnitchHosts=8 flowsnitchHostsCapped=yes flowsnitchEmbedded=192.0.2.9 "},
			LEEF: {"^contact=" + contactID + "^seq=3^last=yes^servicePort=443^contactFirstSeen=2026-11-20T22:00:00.123Z^folded=yes^ports=9^portsCapped=yes^" +
				"hosts=8^hostsCapped=yes^", "^answered=no^refused=yes^blocked=no^", "^embedded=192.0.2.9^"},
			ECS: {`"flowsnitch":{"contact":"` + contactID + `","seq":3,"last":true,`, `"embedded":"192.0.2.9"`,
				`"refused":true,"blocked":false,"service_port":443,"contact_first_seen":"2026-11-20T22:00:00.123Z"`,
				`"folded":true,"ports":9,"ports_capped":true,"hosts":8,"hosts_capped":true`},
			OCSF: {`"finding_info":{"uid":"` + contactID + `"`, `"activity_id":3,"type_uid":200403`, `"first_seen_time":1795212000123`,
				`"unmapped":{"contact":"` + contactID + `","seq":3,"last":true,`, `"embedded":"192.0.2.9"`,
				`"refused":true,"blocked":false,"service_port":443,"contact_first_seen":"2026-11-20T22:00:00.123Z"`,
				`"folded":true,"ports":9,"ports_capped":true,"hosts":8,"hosts_capped":true`},
		}},
		"before the listing": {func(e *event.Event) { e.Retro, e.Days = true, 12 }, wants{
			Text: {" retro=yes days=12 "}, LEEF: {"^retro=yes^days=12^"},
			CEF:  {"|c2|Blacklist hit in the past|10|", " flowsnitchRetro=yes flowsnitchDays=12 "},
			ECS:  {`"retro":true,"days":12`, `"kind":"alert"`},
			OCSF: {`"retro":true,"days":12`, `"title":"Blacklist hit in the past"`, `"is_alert":true`},
		}},
		"silenced": {func(e *event.Event) { e.Silenced = "k7xq2mfa" }, wants{
			Text: {" silenced=k7xq2mfa "}, CEF: {" flowsnitchSilenced=k7xq2mfa "}, LEEF: {"^silenced=k7xq2mfa^"},
			ECS: {`"flowsnitch":{"sensor":"pi-oslo","severity":"critical","offender":"203.0.113.9","silenced":"k7xq2mfa"`}, OCSF: {`"silenced":"k7xq2mfa"`},
		}},
		"place": {func(e *event.Event) { e.Country, e.ASNumber, e.ASName = "NO", 64500, "Example AS" }, wants{
			Text: {" country=NO as_number=64500 ", ` as_name="Example AS"`},
			CEF:  {" flowsnitchCountry=NO flowsnitchASNumber=64500 ", " flowsnitchASName=Example AS"},
			LEEF: {"^country=NO^asNumber=64500^", "^asName=Example AS^"},
			ECS: {`"destination":{"ip":"203.0.113.9","geo":{"country_iso_code":"NO"},"as":{"number":64500,"organization":{"name":"Example AS"}},"port":443`,
				`"source":{"ip":"10.0.0.5","port"`, `"offender":"203.0.113.9","local"`},
			OCSF: {`"dst_endpoint":{"ip":"203.0.113.9","port":443,"location":{"country":"NO"},"autonomous_system":{"number":64500,"name":"Example AS"}}`,
				`"src_endpoint":{"ip":"10.0.0.5","port":51515}`, `"offender":"203.0.113.9","local"`},
		}},
		"place of a translated address": {func(e *event.Event) {
			e.Offender, e.Role, e.Country, e.ASNumber = e.NATSrc, flow.SidePostNATSrc, "NO", 64500
		}, wants{
			ECS:  {`"source":{"ip":"10.0.0.5","port"`, `"destination":{"ip":"203.0.113.9","port"`, `"offender":"198.51.100.7","geo":{"country_iso_code":"NO"},"as":{"number":64500},"local"`},
			OCSF: {`!location`, `!autonomous_system`, `"offender":"198.51.100.7","country":"NO","as_number":64500,"local"`},
		}},
		"v5":    {func(e *event.Event) { e.Version = flow.V5 }, exportedBy("5")},
		"IPFIX": {func(e *event.Event) { e.Version = flow.IPFIX }, exportedBy("ipfix")},
		"sFlow": {func(e *event.Event) { e.Version = flow.SFlow }, exportedBy("sflow5")},
		"nothing known": {func(e *event.Event) { *e = event.Event{Kind: event.KindHit} }, wants{
			Text: {"hit src=- spt=0 dst=- dpt=0 proto=- feed=- sev=low dir=- ", "!invalid"}, CEF: {"|listed|Blacklist hit|3|", "!invalid", "!rt="},
			LEEF: {"!invalid", "!devTime"}, ECS: {"!invalid", "!related", "!observer"}, OCSF: {"!invalid", `!"time"`, `"uid":"00000000-`},
		}},
	} {
		for _, f := range forms {
			e := eventtest.Hit()
			tc.change(&e)
			got := string(format(t, f.name, Options{})(nil, &e))
			checkForm(t, got, event.MaxLine)
			f.keys(t, got)
			for _, want := range tc.wants[f.name] {
				not, unwanted := strings.CutPrefix(want, "!")
				if unwanted == strings.Contains(got, not) {
					t.Errorf("%s, %s: want %s in\n%s", name, f.name, want, got)
				}
			}
		}
	}
}

// TestFormatsRule holds how each form has an alert of a rule.
func TestFormatsRule(t *testing.T) {
	e := eventtest.RuleAlert()
	e.Rule.Update, e.Rule.Interval, e.Rule.Spread = true, 90*time.Second, 0.125
	e.Rule.Title = `Many | sources \ few = tries`
	for name, wants := range map[string][]string{
		Text: {" alert=rule_swarm local=192.0.2.25 rule=swarm rule_type=rise count=89 threshold=84 usual=28 error=0.0625 doubled=yes interval=90.0000 spread=0.1250 score=72 " +
			"from=2026-11-20T17:00:00.123Z to=2026-11-20T23:00:00.123Z ",
			` reason="swarm: 89 sources tried 192.0.2.25 tcp/25 at oslo within 6h, usual 28, none more than 8 times" rule_title="Many | sources \\ few \= tries" ` +
				`group="inside 192.0.2.25, site oslo, protocol tcp, service_port 25" sources="198.51.100.7 (8), 2001:db8::9 (7)" targets="192.0.2.25 (141)" service_ports="25"` + "\n"},
		CEF: {`CEF:0|flowsnitch|flowsnitch|0|rule_swarm|Many   sources \\ few = tries|8|rt=1795215600123 `,
			" flowsnitchRule=swarm flowsnitchRuleType=rise cnt=89 flowsnitchThreshold=84 flowsnitchUsual=28 flowsnitchError=0.0625 flowsnitchDoubled=yes " +
				"flowsnitchInterval=90.0000 flowsnitchSpread=0.1250 cn1Label=score cn1=72 start=1795194000123 end=1795215600123 deviceExternalId=pi-oslo ",
			" flowsnitchGroup=inside 192.0.2.25, site oslo, protocol tcp, service_port 25 flowsnitchSources=198.51.100.7 (8), 2001:db8::9 (7) "},
		LEEF: {"|rule_swarm|^|cat=alert^sev=8^", "^rule=swarm^ruleType=rise^count=89^threshold=84^usual=28^error=0.0625^doubled=yes^interval=90.0000^spread=0.1250^score=72^" +
			"from=2026-11-20T17:00:00.123Z^to=2026-11-20T23:00:00.123Z^", "^sources=198.51.100.7 (8), 2001:db8::9 (7)^targets=192.0.2.25 (141)^servicePorts=25\n"},
		ECS: {`"event":{"kind":"alert","category":["intrusion_detection"],"type":["info"],"action":"alert","code":"rule_swarm",`,
			`"start":"2026-11-20T17:00:00.123Z","end":"2026-11-20T23:00:00.123Z","duration":21600000000000}`,
			`"rule":{"name":"swarm","description":"Many | sources \\ few = tries","category":"rise","ruleset":"flowsnitch"}`,
			`"related":{"ip":["192.0.2.25","198.51.100.7","2001:db8::9"]}`, `"flowsnitch":{"sensor":"pi-oslo","severity":"high","local":"192.0.2.25","site":"oslo","rule":{"name":"swarm","count":89,`},
		OCSF: {`"activity_id":2,"type_uid":200402,`, `"is_alert":true,"start_time":1795194000123,"end_time":1795215600123,"risk_score":72,`,
			`"finding_info":{"uid":"rule_swarm/192.0.2.25/oslo/tcp/25","title":"Many | sources \\ few = tries","analytic":{"type_id":1,"type":"Rule","name":"swarm","category":"rise"},` +
				`"types":["rule_swarm"],"first_seen_time":1795194000123,"last_seen_time":1795215600123}`, `"unmapped":{"alert":"rule_swarm","local":"192.0.2.25","site":"oslo","rule":{"name":"swarm",`},
	} {
		got := string(format(t, name, Options{})(nil, &e))
		checkForm(t, got, event.MaxLine)
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s: want %s in\n%s", name, want, got)
			}
		}
	}
	hit := eventtest.Hit()
	hit.Rule = e.Rule // that only alerts have
	for name, want := range map[string]string{Text: kvLine, CEF: cefLine, LEEF: leefLine, ECS: ecsLine, OCSF: ocsfLine} {
		if got := string(format(t, name, Options{})(nil, &hit)); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// TestFormatsRuleLists: a list is cut between its entries.
func TestFormatsRuleLists(t *testing.T) {
	e := eventtest.RuleAlert()
	e.Rule = eventtest.Longest().Rule
	got := string(format(t, Text, Options{})(nil, &e))
	one := "2001:db8:1111:2222:3333:4444:5555:6666 (18446744073709551615)"
	if want := ` sources="` + strings.Join([]string{one, one, one, one}, ", ") + `" targets="`; !strings.Contains(got, want) {
		t.Errorf("want %s in\n%s", want, got)
	}
}

// TestFormatsHostile holds that text changes nothing but the text: an event with
// hostile text has the keys of one with harmless text, in every form and length.
func TestFormatsHostile(t *testing.T) {
	for _, f := range forms {
		for _, kind := range []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary} {
			for _, make := range []func() event.Event{eventtest.Hit, eventtest.Alert, eventtest.RuleAlert, eventtest.Longest} {
				for _, s := range eventtest.Hostile {
					e := make()
					e.Kind = kind
					checkPoisoned(t, f.name, f.keys, e, s)
				}
			}
		}
	}
}

func checkPoisoned(t *testing.T, name string, keys func(*testing.T, string) map[string]string, e event.Event, s string) {
	t.Helper()
	harmless := "x"
	if s == "" {
		harmless = ""
	}
	eventtest.Poison(&e, harmless)
	want := keys(t, string(format(t, name, Options{})(nil, &e)))
	eventtest.Poison(&e, s)
	line := string(format(t, name, Options{})(nil, &e))
	checkForm(t, line, event.MaxLine)
	got := keys(t, line)
	for key := range want { // the second listing may be gone
		if strings.HasPrefix(key, ".osint.") || strings.HasPrefix(key, ".threat.enrichments.") || e.RaisedBy() != nil && mayGo(key) {
			got[key] = ""
		}
	}
	for key := range got {
		if strings.HasSuffix(key, ".rule.left_out") {
			want[key] = ""
		}
	}
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
		t.Errorf("%s: keys %v\nwant %v\nin %s", name, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)), line)
	}
	for _, limit := range []int{minLimit, 1180} {
		short := string(format(t, name, Options{Limit: limit})(nil, &e))
		if json := short[0] == '{'; json {
			continue
		}
		checkForm(t, short, limit)
		for key := range keys(t, short) {
			if _, ok := want[key]; !ok {
				t.Errorf("%s of %d bytes: key %s in %s", name, limit, key, short)
			}
		}
	}
}

// mayGo reports whether a long alert of a rule may do without a key: lists of its evidence, and in
// the forms of pairs what comes last.
func mayGo(key string) bool {
	_, name, ok := strings.Cut(key, ".rule.")
	if !ok {
		return slices.Contains([]string{"native_id", "ref", "reference", "description", "flowsnitchGroup", "flowsnitchSources", "flowsnitchTargets", "flowsnitchServicePorts"}, key)
	}
	return slices.Contains([]string{"sources", "source_counts", "targets", "target_counts", "ports", "port_counts", "histogram_times", "histogram_values", "histogram_or_more", "stop"}, name)
}

// checkForm holds what is promised of every line of every form.
func checkForm(t *testing.T, line string, limit int) {
	t.Helper()
	body, ok := strings.CutSuffix(line, "\n")
	switch {
	case !ok || len(line) > limit:
		t.Errorf("%d bytes, %d are allowed, newline %v: %s", len(line), limit, ok, line)
	case !utf8.ValidString(line):
		t.Errorf("not UTF-8: %q", line)
	}
	for _, r := range body {
		if !unicode.IsPrint(r) && r != '\t' || r == '\t' && !strings.HasPrefix(line, "LEEF:1.0|") {
			t.Fatalf("%U in %q", r, line)
		}
	}
}

// head is the expression that OSSEC's decoder has for the text form.
var head = regexp.MustCompile(`^(hit|update|alert|canary) src=(\S+) spt=(\d+) dst=(\S+) dpt=(\d+) proto=(\S+) feed=(\S+) sev=(\S+) dir=(\S+)`)

// readKV reads the text form twice: as it is meant, and as a reader would that
// splits at blanks and knows no quotes. Both must find the same keys.
func readKV(t *testing.T, line string) map[string]string {
	t.Helper()
	if !head.MatchString(line) {
		t.Errorf("not as OSSEC wants it: %s", line)
	}
	got := map[string]string{}
	_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	pair := regexp.MustCompile(`^([a-z_]+)=("(?:[^"\\=]|\\.)*"|[^" =]+)(?: |$)`)
	for rest != "" {
		m := pair.FindStringSubmatch(rest)
		if m == nil {
			t.Fatalf("no pair at %q", rest)
		}
		if _, twice := got[m[1]]; twice {
			t.Errorf("%s twice in %s", m[1], line)
		}
		got[m[1]], rest = m[2], rest[len(m[0]):]
	}
	naive := regexp.MustCompile(`([a-z_]+)=`).FindAllString(line, -1)
	if len(naive) != len(got) {
		t.Errorf("a search for key= finds %q in %s", naive, line)
	}
	return got
}

// readCEF reads CEF as the specification has it: a key is a word before an equals
// sign without a backslash, and its value ends at the blank before the next key.
func readCEF(t *testing.T, line string) map[string]string {
	t.Helper()
	part := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 8)
	if len(part) != 8 || part[0] != "CEF:0" || !regexp.MustCompile(`^([358]|10)$`).MatchString(part[6]) {
		t.Fatalf("header of %s", line)
	}
	got := map[string]string{}
	ext := part[7]
	at := regexp.MustCompile(`(?:^| )(\w+)=`).FindAllStringSubmatchIndex(ext, -1)
	if len(at) == 0 || at[0][0] != 0 {
		t.Fatalf("extension of %s", line)
	}
	for i, m := range at {
		end := len(ext)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		key, value := ext[m[2]:m[3]], ext[m[1]:end]
		if _, twice := got[key]; twice {
			t.Errorf("%s twice in %s", key, line)
		}
		if regexp.MustCompile(`(^|[^\\])(\\\\)*(=|\\($|[^\\=nr]))`).MatchString(value) {
			t.Errorf("%s: bad escape in %q", key, value)
		}
		got[key] = value
	}
	return got
}

func readLEEF(t *testing.T, line string) map[string]string {
	t.Helper()
	n, sep := 6, "\t"
	if strings.HasPrefix(line, "LEEF:2.0|") {
		n, sep = 7, "^"
	}
	part := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", n)
	if len(part) != n || n == 7 && part[5] != "^" {
		t.Fatalf("header of %s", line)
	}
	got := map[string]string{}
	for pair := range strings.SplitSeq(part[n-1], sep) {
		key, value, ok := strings.Cut(pair, "=")
		if _, twice := got[key]; !ok || twice || value == "" || !regexp.MustCompile(`^\w+$`).MatchString(key) {
			t.Errorf("pair %q in %s", pair, line)
		}
		got[key] = value
	}
	return got
}

func readJSON(t *testing.T, line string) map[string]string {
	t.Helper()
	got := map[string]string{}
	if !json.Valid([]byte(line)) {
		t.Fatalf("not JSON: %s", line)
	}
	for path := range eventtest.Paths(t, []byte(line)) {
		got[path] = ""
	}
	return got
}

// TestFormatsTexts holds that readers get the text back.
func TestFormatsTexts(t *testing.T) {
	e := eventtest.Hit()
	e.Reason = `a "b" \c = d | e ] ^ é` + "\n👍\x1b"
	for name, want := range map[string]string{
		Text: `reason="a \"b\" \\c \= d | e ] ^ é\n👍` + "\ufffd" + `" `,
		CEF:  `msg=a "b" \\c \= d | e ] ^ é\n👍` + "\ufffd ",
		LEEF: `msg=a "b" \c = d | e ]   é 👍` + "\ufffd^",
		ECS:  `"message":"a \"b\" \\c = d | e ] ^ é\n👍\u001b"`,
		OCSF: `"message":"a \"b\" \\c = d | e ] ^ é\n👍\u001b"`,
	} {
		if got := string(format(t, name, Options{})(nil, &e)); !strings.Contains(got, want) {
			t.Errorf("%s: want %s in\n%s", name, want, got)
		}
	}
}

// TestFormatsShorten holds what goes first in JSON: the worst indicators, then the
// ends of texts.
func TestFormatsShorten(t *testing.T) {
	e := eventtest.Hit()
	for i := range 100 {
		e.Indicators = append(e.Indicators, event.Indicator{Prefix: e.Indicators[0].Prefix, Feed: fmt.Sprint("feed-", i)})
	}
	for _, name := range []string{ECS, OCSF} {
		got := string(format(t, name, Options{})(nil, &e))
		if !strings.Contains(got, e.Reason) || !strings.Contains(got, `"feed-0"`) || strings.Contains(got, `"feed-99"`) || !strings.Contains(got, `"indicators_total":102`) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestFormatsDoNotAllocate(t *testing.T) {
	buf := make([]byte, 0, 2*event.MaxLine)
	for _, e := range []event.Event{eventtest.Hit(), eventtest.RuleAlert()} {
		for _, name := range Names() {
			for _, o := range []Options{{}, {Stamped: true, Limit: 1000}} {
				f := format(t, name, o)
				if n := testing.AllocsPerRun(100, func() { buf = f(buf[:0], &e) }); n != 0 {
					t.Errorf("%s, %s: %v allocations per event", name, e.Kind, n)
				}
			}
		}
	}
}

func TestFormatByNameErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    Options
		want string
	}{
		{"", Options{}, `format: "" is not valid; use one of cef, ecs, json, leef, leef1, native, ocsf, text`},
		{"xml", Options{}, `format: "xml" is not valid`},
		{"native", Options{AlertIP: "dst"}, `alert_ip: "dst" is not valid; use flow or indicator`},
		{"ecs", Options{AlertIP: "indicator"}, "alert_ip: indicator is not allowed with format ecs"},
		{"cef", Options{Limit: 100}, "limit: 100 bytes are not valid; use 480 to 4096"},
		{"text", Options{Limit: 9000}, "limit: 9000 bytes"},
	} {
		if f, err := ByName(tc.name, tc.o); err == nil || !strings.HasPrefix(err.Error(), tc.want) || f.Append != nil {
			t.Errorf("%s %+v: got %v", tc.name, tc.o, err)
		}
	}
}

// TestRelease holds that the version of the program is the product's, whatever it is.
func TestRelease(t *testing.T) {
	e := eventtest.Hit()
	for release, want := range map[string]string{"1.2.0": "1.2.0", "": "0", `v1|\ +x`: "v1____x"} {
		for name, start := range map[string]string{CEF: "CEF:0|", LEEF: "LEEF:2.0|", LEEF1: "LEEF:1.0|"} {
			got := string(format(t, name, Options{Release: release})(nil, &e))
			if want := start + "flowsnitch|flowsnitch|" + want + "|c2|"; !strings.HasPrefix(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
}

// TestAlertIP has the offender at every place of a flow.
func TestAlertIP(t *testing.T) {
	addr := netip.MustParseAddr
	flows := eventtest.Hit()
	flows.NATSrc, flows.NATDst, flows.NATSrcPort, flows.NATDstPort = addr("192.0.2.11"), addr("192.0.2.12"), 11, 12
	flows.InnerSrc, flows.InnerDst = addr("192.0.2.13"), addr("192.0.2.14")
	for role, tc := range map[flow.Side]struct{ offender, want string }{
		flow.SideSrc:        {"10.0.0.5", "src=10.0.0.5 spt=51515 dst=203.0.113.9 dpt=443"},
		flow.SideDst:        {"203.0.113.9", "src=203.0.113.9 spt=443 dst=10.0.0.5 dpt=51515"},
		flow.SidePostNATSrc: {"192.0.2.11", "src=192.0.2.11 spt=11 dst=203.0.113.9 dpt=443"},
		flow.SidePostNATDst: {"192.0.2.12", "src=192.0.2.12 spt=12 dst=10.0.0.5 dpt=51515"},
		flow.SideInnerSrc:   {"192.0.2.13", "src=192.0.2.13 spt=51515 dst=203.0.113.9 dpt=443"},
		flow.SideInnerDst:   {"192.0.2.14", "src=192.0.2.14 spt=443 dst=10.0.0.5 dpt=51515"},
	} {
		e := flows
		e.Role, e.Offender = role, addr(tc.offender)
		text := string(format(t, Text, Options{AlertIP: AlertIndicator})(nil, &e))
		if !strings.HasPrefix(text, "hit "+tc.want+" proto") {
			t.Errorf("%s: %s", role, text)
		}
		native := format(t, Native, Options{AlertIP: AlertIndicator})(nil, &e)
		eventtest.Paths(t, native)
		want := strings.NewReplacer("src=", `"srcip":"`, " spt=", `","srcport":`, " dst=", `,"dstip":"`, " dpt=", `","dstport":`).Replace(tc.want)
		if !bytes.Contains(native, []byte(want+`,"protocol"`)) {
			t.Errorf("%s: want %s in %s", role, want, native)
		}
		if flow := format(t, Native, Options{AlertIP: AlertFlow})(nil, &e); !bytes.Contains(flow, []byte(`"srcip":"10.0.0.5","srcport":51515,"dstip":"203.0.113.9","dstport":443,`)) {
			t.Errorf("%s: %s", role, flow)
		}
	}
	own := eventtest.Alert() // it must never be our own address that gets blocked
	if got := string(format(t, Text, Options{AlertIP: AlertIndicator})(nil, &own)); got != kvAlert {
		t.Errorf("got %s", got)
	}
}

func TestStamped(t *testing.T) {
	e := eventtest.Hit()
	for sensor, want := range map[string]string{"pi-oslo": "pi-oslo", "": "-", "a b:c": "a_b_c"} {
		e.Sensor = sensor
		got := string(format(t, Text, Options{Stamped: true})(nil, &e))
		if want := "2026-11-20T23:00:00.123+00:00 " + want + " flowsnitch: hit src=10.0.0.5 "; !strings.HasPrefix(got, want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	e = eventtest.Longest()
	eventtest.Poison(&e, eventtest.Hostile[7])
	for _, limit := range []int{minLimit, event.MaxLine} {
		checkForm(t, string(format(t, Text, Options{Stamped: true, Limit: limit})(nil, &e)), limit)
	}
}

func FuzzFormats(f *testing.F) {
	for i, s := range eventtest.Hostile {
		f.Add(s, uint8(i), uint8(i), uint8(i))
	}
	kinds := []event.Kind{event.KindHit, event.KindUpdate, event.KindAlert, event.KindCanary}
	f.Fuzz(func(t *testing.T, s string, form, kind, indicators uint8) {
		e := eventtest.Hit()
		e.Indicators = slices.Repeat(e.Indicators[:1], int(indicators))
		e.Kind, e.Rule = kinds[int(kind)%len(kinds)], eventtest.Swarm()
		w := forms[int(form)%len(forms)]
		checkPoisoned(t, w.name, w.keys, e, s)
	})
}

func BenchmarkFormats(b *testing.B) {
	e := eventtest.Hit()
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			f, err := ByName(name, Options{})
			if err != nil {
				b.Fatal(err)
			}
			var buf []byte
			for b.Loop() {
				buf = f.Append(buf[:0], &e)
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}
