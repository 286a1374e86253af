-- ClickHouse: the hits of the Kafka topic as a table. To run it:
--   clickhouse-client --multiquery < flowsnitch.sql
--
-- Kafka delivers at least once. id is unique to an event, and ReplacingMergeTree keeps
-- one row of each: SELECT ... FROM flowsnitch_events FINAL, or count distinct ids.
-- Rows go after a year.
--
-- A table made for lines of version 1 becomes one for version 2 with
--   DROP VIEW flowsnitch_view;
--   ALTER TABLE flowsnitch_events RENAME COLUMN event TO kind, ADD COLUMN version LowCardinality(String) AFTER exporter_name;
-- before this file is run again.
--
-- A table made before it had all columns gets those that it lacks with
--   DROP VIEW flowsnitch_view;
--   ALTER TABLE flowsnitch_events
--     ADD COLUMN IF NOT EXISTS country LowCardinality(String) AFTER embedded,
--     ADD COLUMN IF NOT EXISTS as_number UInt32 AFTER country,
--     ADD COLUMN IF NOT EXISTS as_name LowCardinality(String) AFTER as_number,
--     ADD COLUMN IF NOT EXISTS site LowCardinality(String) AFTER local,
--     ADD COLUMN IF NOT EXISTS retro Bool AFTER contact_first_seen,
--     ADD COLUMN IF NOT EXISTS days UInt32 AFTER retro,
--     ADD COLUMN IF NOT EXISTS silenced String AFTER hosts_capped,
--     ADD COLUMN IF NOT EXISTS sampling_from LowCardinality(String) AFTER sampling;
-- before this file is run again: events without them have the empty value.

CREATE TABLE IF NOT EXISTS flowsnitch_events
(
    id             UUID,
    time           DateTime64(3, 'UTC'),
    kind           LowCardinality(String),
    contact        UUID,
    seq            UInt32,
    last           Bool,
    sensor         LowCardinality(String),
    alert          LowCardinality(String),
    src_ip         IPv6,
    src_port       UInt16,
    dst_ip         IPv6,
    dst_port       UInt16,
    protocol       LowCardinality(String),
    offender       IPv6,
    embedded       IPv6,
    country        LowCardinality(String),
    as_number      UInt32,
    as_name        LowCardinality(String),
    local          IPv6,
    site           LowCardinality(String),
    role           LowCardinality(String),
    direction      LowCardinality(String),
    answered       LowCardinality(String),
    refused        Bool,
    blocked        Bool,
    service_port   UInt16,
    contact_first_seen Nullable(DateTime64(3, 'UTC')),
    retro          Bool,
    days           UInt32,
    folded         Bool,
    ports          UInt32,
    ports_capped   Bool,
    hosts          UInt32,
    hosts_capped   Bool,
    silenced       String,
    severity       LowCardinality(String),
    score          UInt8,
    reason         String,
    feed           LowCardinality(String),
    category       LowCardinality(String),
    indicator      String,
    ref            String,
    tlp            LowCardinality(String),
    flows          UInt64,
    packets        UInt64,
    bytes          UInt64,
    packets_back   UInt64,
    bytes_back     UInt64,
    tcp_flags      LowCardinality(String),
    sampling       UInt32,
    sampling_from  LowCardinality(String),
    start          Nullable(DateTime64(3, 'UTC')),
    end            Nullable(DateTime64(3, 'UTC')),
    clock          LowCardinality(String),
    exporter       IPv6,
    exporter_name  LowCardinality(String),
    version        LowCardinality(String),
    nat_src        IPv6,
    nat_dst        IPv6,
    inner_src      IPv6,
    inner_dst      IPv6,
    community_id   String,
    intel_version  LowCardinality(String),
    feeds          Array(LowCardinality(String)),
    line           String CODEC(ZSTD(3))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (toDate(time), offender, id)
TTL toDateTime(time) + INTERVAL 1 YEAR;

CREATE TABLE IF NOT EXISTS flowsnitch_queue (line String)
ENGINE = Kafka
SETTINGS kafka_broker_list = 'kafka.example:9092',
         kafka_topic_list = 'flowsnitch.hits,flowsnitch.alerts',
         kafka_group_name = 'clickhouse',
         kafka_format = 'JSONAsString',
         kafka_num_consumers = 1;

-- An address that a line does not have is ::. In lines of version 1 the kind is 'event'
-- and the version of the export protocol may be a number, which is not kept.
CREATE MATERIALIZED VIEW IF NOT EXISTS flowsnitch_view TO flowsnitch_events AS
SELECT
    toUUIDOrZero(JSONExtractString(line, 'id')) AS id,
    parseDateTime64BestEffortOrZero(JSONExtractString(line, '@timestamp'), 3, 'UTC') AS time,
    JSONExtractString(line, 'kind') || JSONExtractString(line, 'event') AS kind,
    toUUIDOrZero(JSONExtractString(line, 'contact')) AS contact,
    JSONExtractUInt(line, 'seq') AS seq,
    JSONExtractBool(line, 'last') AS last,
    JSONExtractString(line, 'sensor') AS sensor,
    JSONExtractString(line, 'flowsnitch', 'alert') AS alert,
    toIPv6OrDefault(JSONExtractString(line, 'srcip')) AS src_ip,
    JSONExtractUInt(line, 'srcport') AS src_port,
    toIPv6OrDefault(JSONExtractString(line, 'dstip')) AS dst_ip,
    JSONExtractUInt(line, 'dstport') AS dst_port,
    JSONExtractString(line, 'protocol') AS protocol,
    toIPv6OrDefault(JSONExtractString(line, 'flowsnitch', 'offender')) AS offender,
    toIPv6OrDefault(JSONExtractString(line, 'flowsnitch', 'embedded')) AS embedded,
    JSONExtractString(line, 'flowsnitch', 'geo', 'country') AS country,
    JSONExtractUInt(line, 'flowsnitch', 'as', 'number') AS as_number,
    JSONExtractString(line, 'flowsnitch', 'as', 'organization') AS as_name,
    toIPv6OrDefault(JSONExtractString(line, 'flowsnitch', 'local')) AS local,
    JSONExtractString(line, 'flowsnitch', 'site') AS site,
    JSONExtractString(line, 'flowsnitch', 'role') AS role,
    JSONExtractString(line, 'flowsnitch', 'direction') AS direction,
    JSONExtractString(line, 'flowsnitch', 'answered') AS answered,
    JSONExtractBool(line, 'flowsnitch', 'refused') AS refused,
    JSONExtractBool(line, 'flowsnitch', 'blocked') AS blocked,
    JSONExtractUInt(line, 'flowsnitch', 'service_port') AS service_port,
    parseDateTime64BestEffortOrNull(JSONExtractString(line, 'flowsnitch', 'contact_first_seen'), 3, 'UTC') AS contact_first_seen,
    JSONExtractBool(line, 'flowsnitch', 'retro') AS retro,
    JSONExtractUInt(line, 'flowsnitch', 'days') AS days,
    JSONExtractBool(line, 'flowsnitch', 'folded') AS folded,
    JSONExtractUInt(line, 'flowsnitch', 'ports') AS ports,
    JSONExtractBool(line, 'flowsnitch', 'ports_capped') AS ports_capped,
    JSONExtractUInt(line, 'flowsnitch', 'hosts') AS hosts,
    JSONExtractBool(line, 'flowsnitch', 'hosts_capped') AS hosts_capped,
    JSONExtractString(line, 'flowsnitch', 'silenced') AS silenced,
    JSONExtractString(line, 'flowsnitch', 'severity') AS severity,
    JSONExtractUInt(line, 'flowsnitch', 'score') AS score,
    JSONExtractString(line, 'flowsnitch', 'reason') AS reason,
    JSONExtractString(line, 'flowsnitch', 'feed') AS feed,
    JSONExtractString(line, 'flowsnitch', 'category') AS category,
    JSONExtractString(line, 'flowsnitch', 'indicator') AS indicator,
    JSONExtractString(line, 'flowsnitch', 'ref') AS ref,
    JSONExtractString(line, 'flowsnitch', 'tlp') AS tlp,
    JSONExtractUInt(line, 'flowsnitch', 'flows') AS flows,
    JSONExtractUInt(line, 'flowsnitch', 'packets') AS packets,
    JSONExtractUInt(line, 'flowsnitch', 'bytes') AS bytes,
    JSONExtractUInt(line, 'flowsnitch', 'packets_back') AS packets_back,
    JSONExtractUInt(line, 'flowsnitch', 'bytes_back') AS bytes_back,
    JSONExtractString(line, 'flowsnitch', 'tcp_flags') AS tcp_flags,
    JSONExtractUInt(line, 'flowsnitch', 'sampling') AS sampling,
    JSONExtractString(line, 'flowsnitch', 'sampling_from') AS sampling_from,
    parseDateTime64BestEffortOrNull(JSONExtractString(line, 'flowsnitch', 'start'), 3, 'UTC') AS start,
    parseDateTime64BestEffortOrNull(JSONExtractString(line, 'flowsnitch', 'end'), 3, 'UTC') AS end,
    JSONExtractString(line, 'flowsnitch', 'clock') AS clock,
    toIPv6OrDefault(JSONExtractString(line, 'flowsnitch', 'exporter')) AS exporter,
    JSONExtractString(line, 'flowsnitch', 'exporter_name') AS exporter_name,
    JSONExtractString(line, 'flowsnitch', 'version') AS version,
    toIPv6OrDefault(JSONExtractString(line, 'flowsnitch', 'nat', 'src')) AS nat_src,
    toIPv6OrDefault(JSONExtractString(line, 'flowsnitch', 'nat', 'dst')) AS nat_dst,
    toIPv6OrDefault(JSONExtractString(line, 'flowsnitch', 'inner', 'src')) AS inner_src,
    toIPv6OrDefault(JSONExtractString(line, 'flowsnitch', 'inner', 'dst')) AS inner_dst,
    JSONExtractString(line, 'flowsnitch', 'community_id') AS community_id,
    JSONExtractString(line, 'flowsnitch', 'intel_version') AS intel_version,
    arrayDistinct(arrayMap(x -> JSONExtractString(x, 'feed'), JSONExtractArrayRaw(line, 'flowsnitch', 'indicators'))) AS feeds,
    line
FROM flowsnitch_queue;
