// A typed client of the edge agent for .NET Framework 4.8, Mono and later .NET, without packages.
// Calls go over HTTP; events come over TCP, one JSON message per line. References: System, System.Core, System.Net.Http.

using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace EdgeAgent
{
    /// <summary>The agent refused a call: Reason is for people, Retry says whether it may go well later.</summary>
    public sealed class AgentException : Exception
    {
        public AgentException(long code, string kind, string reason, string machine, bool retry)
            : base(kind + ": " + reason)
        {
            Code = code;
            Kind = kind;
            Reason = reason;
            Machine = machine;
            Retry = retry;
        }

        public long Code { get; private set; }
        public string Kind { get; private set; }
        public string Reason { get; private set; }
        public string Machine { get; private set; }
        public bool Retry { get; private set; }
    }

    /// <summary>What every event has; Sequence and Previous are null of those that are not kept.</summary>
    public abstract class AgentEvent
    {
        public string Method { get; internal set; }
        public string Stream { get; internal set; }
        public string Time { get; internal set; }
        public string Clock { get; internal set; }
        public string Machine { get; internal set; }
        public long? Sequence { get; internal set; }
        public long? Previous { get; internal set; }
    }

    /// <summary>An event with its data; Method tells which. Of events that this client does not know, Data is an object.</summary>
    public sealed class AgentEvent<T> : AgentEvent
    {
        public T Data { get; internal set; }
    }

    /// <summary>The way to one agent.</summary>
    public abstract class Wire : IDisposable
    {
        // A connection that says nothing for so long is dead; the agent sends a heartbeat every 10 s.
        private const int SilenceMs = 30000;

        private readonly HttpClient http;
        private readonly X509Certificate2 ca;
        private readonly string token;
        private readonly string host;
        private readonly int httpPort;
        private readonly int tcpPort;

        /// <param name="token">Says who asks; null for nobody.</param>
        /// <param name="caFile">The CA of the agent's certificate (PEM or DER); with one, TLS is spoken.</param>
        protected Wire(string host, int httpPort, int tcpPort, string token, string caFile)
        {
            this.token = token;
            ca = caFile == null ? null : new X509Certificate2(caFile);
            var handler = new HttpClientHandler();
            if (ca != null) handler.ServerCertificateCustomValidationCallback = (_, its, chain, wrong) => Trusts(its, chain, wrong);
            http = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(90) };
            if (token != null) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
            this.host = host;
            this.httpPort = httpPort;
            this.tcpPort = tcpPort;
        }

        public void Dispose()
        {
            http.Dispose();
        }

        internal async Task<object> CallAsync(string method, Dictionary<string, object> parameters)
        {
            var address = (ca == null ? "http://" : "https://") + host + ":" + httpPort.ToString(CultureInfo.InvariantCulture) + "/rpc";
            using (var body = new StringContent(Request(method, parameters), new UTF8Encoding(false), "application/json"))
            using (var answer = await http.PostAsync(address, body).ConfigureAwait(false))
            {
                return Result(Json.Read(await answer.Content.ReadAsStringAsync().ConfigureAwait(false)));
            }
        }

        internal IEnumerable<AgentEvent> Follow(
            Dictionary<string, object> wanted, Func<object, AgentEvent> read, int? retryMs, CancellationToken stop)
        {
            var hasCursor = wanted["consumer"] != null;
            for (Exception lost = null; ; lost = null)
            {
                using (var connection = new TcpClient())
                using (stop.Register(connection.Close))
                {
                    StreamReader lines = null;
                    lost = Trying(() => lines = Subscribed(connection, wanted));
                    while (lost == null)
                    {
                        object message = null;
                        lost = Trying(() => message = Message(lines));
                        if (lost != null) break;
                        if (!Json.Has(message, "method"))
                        {
                            lost = Trying(() => wanted["from"] = Begun(Result(message), hasCursor));
                            continue;
                        }
                        yield return read(message);
                        if (Json.Text(Json.Member(message, "method")) == "Event.SubscriptionEnded") yield break;
                        if (hasCursor) continue;
                        var parameters = Json.Member(message, "params");
                        var reached = Reached(parameters);
                        if (reached != null)
                            wanted["from"] = Place(Json.Member(parameters, "stream"), reached.Value + 1);
                    }
                }
                if (stop.IsCancellationRequested) yield break;
                if (retryMs == null) throw new IOException("the connection to the agent is lost", lost);
                if (stop.WaitHandle.WaitOne(retryMs.Value)) yield break;
            }
        }

        private StreamReader Subscribed(TcpClient connection, Dictionary<string, object> wanted)
        {
            connection.ReceiveTimeout = SilenceMs;
            connection.Connect(host, tcpPort);
            var stream = Secured(connection.GetStream());
            var lines = new StreamReader(stream, new UTF8Encoding(false));
            if (token != null)
            {
                Send(stream, Request("Session.Authenticate", new Dictionary<string, object> { { "token", token } }));
                Result(Message(lines));
            }
            Send(stream, Request("Event.Subscribe", wanted));
            return lines;
        }

        private Stream Secured(Stream stream)
        {
            if (ca == null) return stream;
            var secured = new SslStream(stream, false, (_, its, chain, wrong) => Trusts(new X509Certificate2(its), chain, wrong));
            try
            {
                secured.AuthenticateAsClient(host, null, System.Security.Authentication.SslProtocols.Tls12, false);
            }
            catch (System.Security.Authentication.AuthenticationException error)
            {
                throw new IOException("the agent's certificate is not trusted", error);
            }
            return secured;
        }

        // The CA is one that the computer need not know; the name must be right all the same.
        private bool Trusts(X509Certificate2 its, X509Chain chain, SslPolicyErrors wrong)
        {
            if (its == null || (wrong & ~SslPolicyErrors.RemoteCertificateChainErrors) != SslPolicyErrors.None) return false;
            chain = new X509Chain();
            chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
            chain.ChainPolicy.VerificationFlags = X509VerificationFlags.AllowUnknownCertificateAuthority;
            chain.ChainPolicy.ExtraStore.Add(ca);
            if (!chain.Build(its)) return false;
            return chain.ChainElements[chain.ChainElements.Count - 1].Certificate.RawData.SequenceEqual(ca.RawData);
        }

        private static void Send(Stream stream, string message)
        {
            var line = Encoding.UTF8.GetBytes(message + "\n");
            stream.Write(line, 0, line.Length);
        }

        private static object Message(StreamReader lines)
        {
            var line = lines.ReadLine();
            if (line == null) throw new EndOfStreamException("the agent closed the connection");
            return Json.Read(line);
        }

        private static Exception Trying(Action action)
        {
            try
            {
                action();
                return null;
            }
            catch (Exception error) when (error is IOException || error is SocketException
                || error is InvalidOperationException || error is FormatException
                || error is AgentException && ((AgentException)error).Retry)
            {
                return error;
            }
        }

        private static object Begun(object answer, bool hasCursor)
        {
            return hasCursor ? (object)"cursor" : Place(Json.Member(answer, "stream"), Json.Member(answer, "nextSequence"));
        }

        private static Dictionary<string, object> Place(object stream, object sequence)
        {
            return new Dictionary<string, object> { { "stream", stream }, { "sequence", sequence } };
        }

        private static long? Reached(object parameters)
        {
            var data = Json.Member(parameters, "data");
            if (Json.Has(data, "ranges") && !Json.Has(parameters, "sequence"))
                return Json.List(Json.Member(data, "ranges"), it => Json.Integer(Json.Member(it, "to"))).Max();
            return Json.Integer(Json.Member(parameters, "sequence") ?? Json.Member(data, "lastSequence"));
        }

        private static string Request(string method, Dictionary<string, object> parameters)
        {
            return Json.Write(new Dictionary<string, object>
            {
                { "jsonrpc", "2.0" }, { "id", 1L }, { "method", method },
                { "params", parameters.Where(it => it.Value != null).ToDictionary(it => it.Key, it => it.Value) },
            });
        }

        private static object Result(object answer)
        {
            if (!Json.Has(answer, "error")) return Json.Member(answer, "result");
            var error = Json.Member(answer, "error");
            var told = Json.Member(error, "data");
            throw new AgentException(
                Json.Integer(Json.Member(error, "code")) ?? 0,
                Json.Text(Json.Member(told, "kind")) ?? "internal",
                Json.Text(Json.Member(told, "reason")) ?? Json.Text(Json.Member(error, "message")),
                Json.Text(Json.Member(told, "machine")),
                Json.Truth(Json.Member(told, "retry")) ?? false);
        }
    }

    /// <summary>Plain JSON: Dictionary, List, string, long, double, bool or null.</summary>
    internal static class Json
    {
        internal static object Read(string text)
        {
            var at = 0;
            var value = Value(text, ref at);
            if (at != text.TrimEnd().Length) throw new FormatException("more than one JSON value");
            return value;
        }

        internal static bool Has(object json, string name)
        {
            var members = json as Dictionary<string, object>;
            return members != null && members.ContainsKey(name);
        }

        internal static object Member(object json, string name)
        {
            var members = json as Dictionary<string, object>;
            object value;
            return members != null && members.TryGetValue(name, out value) ? value : null;
        }

        internal static string Text(object json) { return json as string; }
        internal static bool? Truth(object json) { return json as bool?; }
        internal static long? Integer(object json) { return json is double ? (long)(double)json : json as long?; }
        internal static double? Number(object json) { return json is long ? (long)json : json as double?; }

        internal static List<T> List<T>(object json, Func<object, T> read)
        {
            var entries = json as List<object>;
            return entries == null ? null : entries.Select(read).ToList();
        }

        internal static Dictionary<string, T> Map<T>(object json, Func<object, T> read)
        {
            var members = json as Dictionary<string, object>;
            return members == null ? null : members.ToDictionary(it => it.Key, it => read(it.Value));
        }

        internal static T Record<T>(object json, Func<object, T> read) where T : class
        {
            return json == null ? null : read(json);
        }

        internal static string Write(object value)
        {
            var text = new StringBuilder();
            Write(value, text);
            return text.ToString();
        }

        private static void Write(object value, StringBuilder text)
        {
            var record = value as IRecord;
            if (record != null) value = record.Members();
            var map = value as Dictionary<string, object>;
            if (value == null) text.Append("null");
            else if (value is bool) text.Append((bool)value ? "true" : "false");
            else if (value is string) Quote((string)value, text);
            else if (map != null)
            {
                var before = "{";
                foreach (var member in map)
                {
                    text.Append(before);
                    Quote(member.Key, text);
                    text.Append(':');
                    Write(member.Value, text);
                    before = ",";
                }
                text.Append(map.Count == 0 ? "{}" : "}");
            }
            else if (value is double) text.Append(((double)value).ToString("R", CultureInfo.InvariantCulture));
            else if (value is IEnumerable)
            {
                text.Append('[');
                var before = "";
                foreach (var entry in (IEnumerable)value)
                {
                    text.Append(before);
                    Write(entry, text);
                    before = ",";
                }
                text.Append(']');
            }
            else text.Append(Convert.ToString(value, CultureInfo.InvariantCulture));
        }

        private static void Quote(string value, StringBuilder text)
        {
            text.Append('"');
            foreach (var letter in value)
            {
                if (letter == '"' || letter == '\\') text.Append('\\').Append(letter);
                else if (letter < ' ') text.Append("\\u").Append(((int)letter).ToString("x4", CultureInfo.InvariantCulture));
                else text.Append(letter);
            }
            text.Append('"');
        }

        private static object Value(string text, ref int at)
        {
            Space(text, ref at);
            if (at == text.Length) throw new FormatException("JSON ends too early");
            switch (text[at])
            {
                case '{': return Members(text, ref at);
                case '[': return Entries(text, ref at);
                case '"': return Quoted(text, ref at);
                case 't': return Word(text, ref at, "true", true);
                case 'f': return Word(text, ref at, "false", false);
                case 'n': return Word(text, ref at, "null", null);
                default: return Figure(text, ref at);
            }
        }

        private static object Members(string text, ref int at)
        {
            var members = new Dictionary<string, object>();
            at++;
            for (var first = true; !Ends(text, ref at, '}', first); first = false)
            {
                Space(text, ref at);
                var name = Quoted(text, ref at);
                Space(text, ref at);
                Expect(text, ref at, ':');
                members[name] = Value(text, ref at);
            }
            return members;
        }

        private static object Entries(string text, ref int at)
        {
            var entries = new List<object>();
            at++;
            for (var first = true; !Ends(text, ref at, ']', first); first = false) entries.Add(Value(text, ref at));
            return entries;
        }

        private static bool Ends(string text, ref int at, char end, bool first)
        {
            Space(text, ref at);
            if (at < text.Length && text[at] == end)
            {
                at++;
                return true;
            }
            if (!first) Expect(text, ref at, ',');
            return false;
        }

        private static string Quoted(string text, ref int at)
        {
            Expect(text, ref at, '"');
            var value = new StringBuilder();
            for (; at < text.Length && text[at] != '"'; at++)
            {
                if (text[at] != '\\')
                {
                    value.Append(text[at]);
                    continue;
                }
                if (++at == text.Length) break;
                var place = "bfnrt".IndexOf(text[at]);
                if (text[at] == 'u' && at + 4 < text.Length)
                {
                    value.Append((char)int.Parse(text.Substring(at + 1, 4), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
                    at += 4;
                }
                else value.Append(place < 0 ? text[at] : "\b\f\n\r\t"[place]);
            }
            Expect(text, ref at, '"');
            return value.ToString();
        }

        private static object Figure(string text, ref int at)
        {
            var begin = at;
            while (at < text.Length && "+-.0123456789eE".IndexOf(text[at]) >= 0) at++;
            var figure = text.Substring(begin, at - begin);
            long whole;
            if (long.TryParse(figure, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out whole)) return whole;
            return double.Parse(figure, NumberStyles.Float, CultureInfo.InvariantCulture);
        }

        private static object Word(string text, ref int at, string word, object value)
        {
            if (string.CompareOrdinal(text, at, word, 0, word.Length) != 0) throw new FormatException("this is not JSON");
            at += word.Length;
            return value;
        }

        private static void Expect(string text, ref int at, char letter)
        {
            if (at >= text.Length || text[at] != letter) throw new FormatException("JSON: '" + letter + "' is missing");
            at++;
        }

        private static void Space(string text, ref int at)
        {
            while (at < text.Length && " \t\r\n".IndexOf(text[at]) >= 0) at++;
        }
    }

    internal interface IRecord
    {
        Dictionary<string, object> Members();
    }
}
