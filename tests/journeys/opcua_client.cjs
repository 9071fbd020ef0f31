// An OPC UA client that does what it reads, a JSON object a line, and answers with a line; NODE_PATH has node-opcua-client.
"use strict";

for (const way of ["log", "info", "warn"]) console[way] = console.error; // stdout is for answers alone

const { readFileSync } = require("node:fs");
const readline = require("node:readline");
const {
  AttributeIds, ClientSubscription, DataChangeFilter, DataChangeTrigger, DataType, DeadbandType, MessageSecurityMode,
  NodeClass, OPCUAClient,
  SecurityPolicy, TimestampsToReturn, UserTokenType, Variant, VariantArrayType,
  constructEventFilter, extractConditionFields,
} = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

let client = null;
let session = null;

const shown = (value) => ({
  value: value.value ? plain(value.value.value) : null,
  type: value.value ? DataType[value.value.dataType] : null,
  status: value.statusCode.name,
  time: value.sourceTimestamp ? value.sourceTimestamp.toISOString() : null,
});

function plain(value) {
  if (value === null || value === undefined) return null;
  if (typeof value === "bigint") return Number(value);
  if (ArrayBuffer.isView(value)) return Array.from(value, plain);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Date) return value.toISOString();
  if (value.text !== undefined && value.locale !== undefined) return value.text;
  if (value.toJSON) return value.toJSON();
  return value;
}

function given([type, value]) {
  const isArray = Array.isArray(value);
  return new Variant({
    dataType: DataType[type], value, arrayType: isArray ? VariantArrayType.Array : VariantArrayType.Scalar,
  });
}

const pem = (text) => Buffer.from(text.replace(/-----[^-]+-----/g, ""), "base64");

const keeping = (pki) => new OPCUACertificateManager({ rootFolder: pki, automaticallyAcceptUnknownCertificate: true });

const doing = {
  async connect({ endpoint, policy, user, password, certificate, key, pki, uri }) {
    client = OPCUAClient.create({
      applicationName: "journey",
      applicationUri: uri,
      securityMode: policy === "None" ? MessageSecurityMode.None : MessageSecurityMode.SignAndEncrypt,
      securityPolicy: SecurityPolicy[policy],
      endpointMustExist: false,
      connectionStrategy: { maxRetry: 0 },
      requestedSessionTimeout: 60000,
      clientCertificateManager: keeping(pki),
    });
    await client.connect(endpoint);
    let who = { type: UserTokenType.Anonymous };
    if (user) who = { type: UserTokenType.UserName, userName: user, password };
    if (certificate) {
      const der = pem(readFileSync(certificate, "ascii"));
      who = { type: UserTokenType.Certificate, certificateData: der, privateKey: readFileSync(key, "ascii") };
    }
    session = await client.createSession(who);
    return true;
  },

  async endpoints({ endpoint, pki }) {
    const asking = OPCUAClient.create({
      endpointMustExist: false, connectionStrategy: { maxRetry: 0 }, clientCertificateManager: keeping(pki),
    });
    await asking.connect(endpoint);
    const found = await asking.getEndpoints();
    await asking.disconnect();
    return found.map((each) => ({
      policy: each.securityPolicyUri.split("#")[1],
      mode: MessageSecurityMode[each.securityMode],
      tokens: each.userIdentityTokens.map((token) => UserTokenType[token.tokenType]),
    }));
  },

  // Everything below a node by hierarchical references, each node once, with the names on the way to it.
  async browse({ root, most }) {
    const found = [];
    const seen = new Set([root]);
    let waiting = [{ id: root, path: [] }];
    while (waiting.length && found.length < most) {
      const now = waiting.splice(0, 20);
      const results = await session.browse(now.map((each) => ({
        nodeId: each.id, browseDirection: 0, referenceTypeId: "i=33", includeSubtypes: true, nodeClassMask: 0,
        resultMask: 63,
      })));
      for (const [place, result] of results.entries()) {
        const references = [...(result.references || [])];
        let point = result.continuationPoint;
        while (point && point.length) {
          const next = await session.browseNext(point, false);
          references.push(...(next.references || []));
          point = next.continuationPoint;
        }
        for (const reference of references) {
          const id = reference.nodeId.toString();
          if (seen.has(id)) continue;
          seen.add(id);
          const path = [...now[place].path, reference.browseName.name];
          found.push({ id, path, class: NodeClass[reference.nodeClass] });
          waiting.push({ id, path });
        }
      }
    }
    return found;
  },

  async read({ ids, attribute }) {
    const attributeId = AttributeIds[attribute || "Value"];
    const values = [];
    for (let first = 0; first < ids.length; first += 100) {
      const some = ids.slice(first, first + 100);
      values.push(...await session.read(some.map((nodeId) => ({ nodeId, attributeId }))));
    }
    return values.map(shown);
  },

  async write({ id, type, value }) {
    const status = await session.write({
      nodeId: id, attributeId: AttributeIds.Value, value: { value: given([type, value]) },
    });
    return status.name;
  },

  async call({ object, method, values }) {
    const result = await session.call({ objectId: object, methodId: method, inputArguments: values.map(given) });
    return {
      status: result.statusCode.name,
      outputs: (result.outputArguments || []).map((each) => plain(each.value)),
      inputs: (result.inputArgumentResults || []).map((each) => each.name),
    };
  },

  // Hears so many changes of some nodes, beyond a deadband in percent of their range if there is one.
  async subscribe({ ids, count, percent }) {
    const subscription = ClientSubscription.create(session, {
      requestedPublishingInterval: 200, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 10,
      maxNotificationsPerPublish: 1000, publishingEnabled: true, priority: 0,
    });
    const filter = percent === undefined ? undefined : new DataChangeFilter({
      trigger: DataChangeTrigger.StatusValue, deadbandType: DeadbandType.Percent, deadbandValue: percent,
    });
    const heard = [];
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`only ${heard.length} changes came`)), 60000);
      subscription.on("internal_error", reject);
      (async () => {
        for (const id of ids) {
          const item = await subscription.monitor(
            { nodeId: id, attributeId: AttributeIds.Value },
            { samplingInterval: 0, queueSize: 10, discardOldest: true, filter }, TimestampsToReturn.Both);
          if (!item.statusCode.isGood()) throw new Error(item.statusCode.name);
          item.on("changed", (value) => {
            heard.push({ id, ...shown(value) });
            if (heard.length >= count) {
              clearTimeout(late);
              resolve();
            }
          });
        }
      })().catch(reject);
    });
    await subscription.terminate();
    return heard;
  },

  // The first active condition that a refresh, or later the server, tells.
  async alarm() {
    const fields = await extractConditionFields(session, "AlarmConditionType");
    const subscription = ClientSubscription.create(session, {
      requestedPublishingInterval: 200, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 10,
      maxNotificationsPerPublish: 1000, publishingEnabled: true, priority: 0,
    });
    const told = await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("no alarm came")), 60000);
      (async () => {
        const item = await subscription.monitor(
          { nodeId: "i=2253", attributeId: AttributeIds.EventNotifier },
          { samplingInterval: 0, queueSize: 100, discardOldest: true, filter: constructEventFilter(fields) },
          TimestampsToReturn.Both);
        item.on("changed", (values) => {
          const event = Object.fromEntries(fields.map((name, place) => [name, values[place].value]));
          if (event["ActiveState.Id"] !== true) return;
          clearTimeout(late);
          resolve({
            condition: event.ConditionId.toString(), event: event.EventId.toString("base64"),
            message: event.Message.text, severity: event.Severity, acked: event["AckedState.Id"],
            source: event.SourceName,
          });
        });
        await session.call({
          objectId: "i=2782", methodId: "i=3875", inputArguments: [given(["UInt32", subscription.subscriptionId])],
        });
      })().catch(reject);
    });
    await subscription.terminate();
    return told;
  },

  async acknowledge({ condition, event, comment }) {
    return (await session.acknowledgeCondition(condition, Buffer.from(event, "base64"), comment)).name;
  },

  async history({ id, since, until, most }) {
    const result = await session.readHistoryValue(
      { nodeId: id }, new Date(since), new Date(until), { numValuesPerNode: most || 0 });
    const values = result.historyData ? result.historyData.dataValues || [] : [];
    return { status: result.statusCode.name, values: values.map(shown), more: Boolean(result.continuationPoint?.length) };
  },

  // What becomes of services that are not served.
  async unserved() {
    const asked = {
      setTriggering: () => session.setTriggering({
        subscriptionId: 1, triggeringItemId: 1, linksToAdd: [], linksToRemove: [],
      }),
      queryFirst: () => session.queryFirst({ nodeTypes: [] }),
    };
    const told = {};
    for (const [name, ask] of Object.entries(asked)) {
      told[name] = await ask().then((answer) => answer.responseHeader.serviceResult.name, (error) => error.message);
    }
    return told;
  },

  async namespaces() {
    return session.readNamespaceArray();
  },

  async end() {
    if (session) await session.close().catch(() => {});
    if (client) await client.disconnect().catch(() => {});
    session = client = null;
    return true;
  },
};

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    let answer;
    try {
      answer = { result: await doing[asked.do](asked) };
    } catch (error) {
      answer = { error: String(error.message || error) };
      if (asked.do === "connect") await doing.end();
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  await doing.end();
}

main();
