import { createRequire } from 'node:module';
import type { Kafka } from 'kafkajs';
import { Transient } from './errors.ts';

const require = createRequire(import.meta.url);

/** The parts of kafkajs' own protocol code used here; not in its types, and frozen with its last release. */
type Encoder = {
  writeUVarInt(value: number): Encoder;
  writeUVarIntString(value: string): Encoder;
  writeBoolean(value: boolean): Encoder;
  writeBuffer(value: Buffer): Encoder;
};
type Decoder = {
  readInt16(): number;
  readInt32(): number;
  readBoolean(): boolean;
  readUVarInt(): number;
  readUVarIntString(): string | null;
  readUVarIntArray<T>(read: (decoder: Decoder) => T): T[];
  readTaggedFields(): unknown;
  readBytes(length: number): Buffer;
};
type Broker = { connectionPool: { send(call: unknown): Promise<Described> } };
type Cluster = {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  findControllerBroker(): Promise<Broker>;
};
const NewEncoder = require('kafkajs/src/protocol/encoder.js') as new () => Encoder;
const NewDecoder = require('kafkajs/src/protocol/decoder.js') as new (raw: Buffer) => Decoder;

type DescribedTopic = { errorCode: number; name: string | null; topicId: Buffer; partitions: number };
type Described = { clusterId: string; topics: DescribedTopic[] };

const METADATA = { apiKey: 3, apiVersion: 12, apiName: 'Metadata' };
const NO_TAGS = 0;

/** `id` names the log behind a topic's name. */
export type TopicDescription = { readonly id: string; readonly partitions: number };

/**
 * Kafka gives each topic a random UUID when it is created, another one when it is created again. kafkajs speaks Metadata
 * up to version 6, and the id is in version 10 and later (KIP-516; Kafka 2.8), so this asks version 12 over a connection
 * of kafkajs.
 * @throws Transient when the topic does not (yet) exist, or errors of kafkajs
 */
export async function describeTopic(kafka: Kafka, topic: string): Promise<TopicDescription> {
  const cluster = createCluster(kafka);
  await cluster.connect();
  try {
    await cluster.addTargetTopic(topic);
    const { connectionPool } = await cluster.findControllerBroker();
    const { clusterId, topics } = await connectionPool.send({ request: request(topic), response: { decode, parse } });
    const found = topics.find(({ name, errorCode }) => name === topic && errorCode === 0);
    if (found === undefined) throw new Transient(`Kafka does not describe the topic ${topic}`);
    return { id: `${clusterId}.${found.topicId.toString('base64url')}`, partitions: found.partitions };
  } finally {
    await cluster.disconnect();
  }
}

/** What `kafka.admin()` and the others call; it has no name one could call it by. */
function createCluster(kafka: Kafka): Cluster {
  const symbol = Object.getOwnPropertySymbols(kafka).find((each) => each.description === 'private:Kafka:createCluster');
  if (symbol === undefined) throw new TypeError('kafkajs is not the release this was written for');
  const create = Reflect.get(kafka, symbol) as (options: object) => Cluster;
  return create({ allowAutoTopicCreation: false });
}

/**
 * Metadata Request (Version: 12) => TAGS [topics] allow_auto_topic_creation include_topic_authorized_operations TAGS
 *   topics => topic_id name TAGS
 */
const request = (topic: string) => ({
  ...METADATA,
  encode: async () =>
    new NewEncoder()
      .writeUVarInt(NO_TAGS)
      .writeUVarInt(1 + 1)
      .writeBuffer(Buffer.alloc(16))
      .writeUVarIntString(topic)
      .writeUVarInt(NO_TAGS)
      .writeBoolean(false)
      .writeBoolean(false)
      .writeUVarInt(NO_TAGS),
});

/**
 * Metadata Response (Version: 12) => TAGS throttle_time_ms [brokers] cluster_id controller_id [topics] TAGS
 *   brokers => node_id host port rack TAGS
 *   topics => error_code name topic_id is_internal [partitions] topic_authorized_operations TAGS
 *   partitions => error_code index leader leader_epoch [replicas] [in_sync] [offline] TAGS
 */
async function decode(raw: Buffer): Promise<Described> {
  const decoder = new NewDecoder(raw);
  decoder.readTaggedFields();
  decoder.readInt32();
  decoder.readUVarIntArray((each) => {
    each.readInt32();
    each.readUVarIntString();
    each.readInt32();
    each.readUVarIntString();
    each.readTaggedFields();
  });
  const clusterId = decoder.readUVarIntString() ?? '';
  decoder.readInt32();
  return { clusterId, topics: decoder.readUVarIntArray(decodeTopic) };
}

function decodeTopic(decoder: Decoder): DescribedTopic {
  const errorCode = decoder.readInt16();
  const name = decoder.readUVarIntString();
  const topicId = Buffer.from(decoder.readBytes(16));
  decoder.readBoolean();
  const partitions = decoder.readUVarIntArray((each) => {
    each.readInt16();
    for (let field = 0; field < 3; field += 1) each.readInt32();
    for (let list = 0; list < 3; list += 1) each.readUVarIntArray((node) => node.readInt32());
    each.readTaggedFields();
  });
  decoder.readInt32();
  decoder.readTaggedFields();
  return { errorCode, name, topicId, partitions: partitions.length };
}

const parse = async (described: Described): Promise<Described> => described;
