"""Prints every message that a topic holds now: partition, key, headers and value, one a line."""
import sys

from kafka import KafkaConsumer, TopicPartition

broker, topic = sys.argv[1:]
consumer = KafkaConsumer(bootstrap_servers=broker, group_id=None, consumer_timeout_ms=60000)
places = [TopicPartition(topic, n) for n in consumer.partitions_for_topic(topic)]
consumer.assign(places)
consumer.seek_to_beginning(*places)
left = {p: end for p, end in consumer.end_offsets(places).items() if end > 0}
for m in consumer if left else ():
    headers = ",".join(name + "=" + value.decode() for name, value in m.headers)
    print(m.partition, m.key.decode(), headers, m.value.decode(), sep="\t")
    place = TopicPartition(m.topic, m.partition)
    if m.offset + 1 >= left[place]:
        del left[place]
        if not left:
            break
