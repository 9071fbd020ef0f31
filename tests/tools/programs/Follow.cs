// Asks, is refused, follows six events over a line that breaks, and acknowledges as a consumer; see test_client.
using System;
using System.Collections.Generic;
using System.Globalization;
using EdgeAgent;

internal static class Follow
{
    private static void Main(string[] ports)
    {
        CultureInfo.DefaultThreadCurrentCulture = new CultureInfo("de-DE");
        using (var client = new Client("127.0.0.1", int.Parse(ports[0]), int.Parse(ports[1])))
        {
            var machine = client.StatusGetAsync().Result.Machines[0];
            Console.WriteLine(machine.State + " " + machine.Recipe.Name);
            try
            {
                client.BoardGetAsync("nobody").GetAwaiter().GetResult();
            }
            catch (AgentException error)
            {
                Console.WriteLine(error.Kind + " " + error.Code + " " + error.Retry);
            }
            var first = client.EventReadAsync("beginning", limit: 1).Result.Events[0];
            Console.WriteLine(first.Method + " " + (first is AgentEvent<MachineStatusChanged>));
            var trace = client.BoardGetTraceAsync("b1", 2).Result.Zones["zone/1/top"];
            Console.WriteLine(string.Join(" ", trace.ConvertAll(it => it.Value.ToString(CultureInfo.InvariantCulture))));
            foreach (var told in client.Events(new List<string> { "*" }, from: "beginning", retryMs: 50))
            {
                var changed = told as AgentEvent<MachineStatusChanged>;
                if (changed == null) continue;
                Console.WriteLine(told.Sequence + " " + changed.Data.To);
                if (told.Sequence == 7) break;
            }
            foreach (var told in client.Events(new List<string> { "Status.*" }, consumer: "mes", retryMs: 50))
            {
                if (!(told is AgentEvent<MachineStatusChanged>)) continue;
                if (told.Sequence == 1) client.EventAcknowledgeAsync("mes", told.Stream, 1).Wait();
                Console.WriteLine("mes " + told.Sequence);
            }
            Console.WriteLine("ended");
        }
    }
}
