// Calls the server with avsc, the JavaScript implementation that knows nothing of ours.
//   node peer.js < {"protocol": …, "key": …, "http": URL | "netty": {"port": …}, "calls": [{"message", "request"}]}
// All calls are sent at once; printed are the answers in the order of the calls, each {"answer"} or {"error"}, how many
// handshakes of each kind there were, and in which order the answers came.
"use strict";
const { createRequire } = require("module");
const avro = createRequire(process.cwd() + "/")("avsc");
const http = require("http");
const net = require("net");

const task = JSON.parse(require("fs").readFileSync(0, "utf8"));
const service = avro.Service.forProtocol(task.protocol);
const client = service.createClient({ buffering: true, timeout: 30000 });
const handshakes = [];

let channel, connection;
if (task.http) {
  channel = client.createChannel((made) => {
    const headers = { "content-type": "avro/binary", authorization: `Bearer ${task.key}` };
    return http.request(task.http, { method: "POST", headers }, (answer) => made(null, answer)).on("error", made);
  }, { noPing: true });
} else {
  client.use((request, response, next) => {
    request.headers.authorization = Buffer.from(`Bearer ${task.key}`);
    next();
  });
  connection = net.connect({ port: task.netty.port, host: "127.0.0.1" });
  channel = client.createChannel(connection);
}
channel.on("handshake", (asked, said) => handshakes.push(said.match));

const told = (error) => (error.code && error.rpcCode === undefined ? { ...error } : error.message);
const order = [];
const one = ({ message, request }, place) =>
  new Promise((done) => client.emitMessage(message, request, {}, (error, answer) => {
    order.push(place);
    done(error ? { error: told(error) } : { answer });
  }));

(async () => {
  const answers = task.inTurn
    ? await task.calls.reduce(async (before, call, place) => [...(await before), await one(call, place)], [])
    : await Promise.all(task.calls.map(one));
  process.stdout.write(JSON.stringify({ answers, handshakes, order }), () => {
    client.destroyChannels({ noWait: true });
    if (connection) connection.destroy();
  });
})();
