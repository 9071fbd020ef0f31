// Asks, is refused, follows six events over a line that breaks, and acknowledges as a consumer; see test_client.
import { AgentError, Client } from "./agent.js";

declare const process: { argv: string[]; exit(code: number): never };

const client = new Client({ url: `http://127.0.0.1:${process.argv[2]}/rpc` });
const machine = (await client.statusGet()).machines[0];
console.log(machine?.state, machine?.recipe.name);
try {
  await client.boardGet({ id: "nobody" });
} catch (error) {
  if (error instanceof AgentError) console.log(error.kind, error.code, error.retry);
}
const first = (await client.eventRead({ from: "beginning", limit: 1 })).events[0];
console.log(first?.method, first?.method === "Status.MachineStatusChanged" && first.data.to === "running");
console.log((await client.boardGetTrace({ id: "b1", maxPoints: 2 })).zones["zone/1/top"]);
for await (const event of client.events({ topics: ["*"], from: "beginning" }, 50)) {
  if (event.method !== "Status.MachineStatusChanged") continue;
  console.log(event.params.sequence, event.params.data.to);
  if (event.params.sequence === 7) break;
}
for await (const event of client.events({ topics: ["Status.*"], consumer: "mes" }, 50)) {
  if (event.method !== "Status.MachineStatusChanged") continue;
  const { stream, sequence } = event.params;
  if (sequence === 1) await client.eventAcknowledge({ consumer: "mes", stream, sequence });
  console.log("mes", sequence);
}
console.log("ended");
process.exit(0);
