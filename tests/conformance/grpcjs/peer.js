// Makes the calls that the task on standard input names, in turn on one connection, and prints what became of each.
const fs = require('fs');
const {createRequire} = require('module');
const from = createRequire(process.cwd() + '/');
const grpc = from('@grpc/grpc-js');
const loader = from('@grpc/proto-loader');

const task = JSON.parse(fs.readFileSync(0, 'utf8'));
const shape = {keepCase: true, longs: String, enums: String, bytes: String, defaults: false, oneofs: false};
const credentials = grpc.credentials.createInsecure();

function load(file, name) {
  const found = grpc.loadPackageDefinition(loader.loadSync(file, shape));
  return name.split('.').reduce((at, part) => at[part], found);
}

function read(metadata) {
  const found = {};
  for (const [name, value] of Object.entries(metadata.getMap()))
    found[name] = Buffer.isBuffer(value) ? value.toString('base64') : value;
  return found;
}

function call(client, one) {
  const metadata = new grpc.Metadata();
  if (one.key) metadata.set('authorization', `Bearer ${one.key}`);
  const options = one.seconds === undefined ? {} : {deadline: Date.now() + one.seconds * 1000};
  return new Promise((done) => {
    let status = null, answer = null, error = null;
    const finish = () => {
      if (status === null || (answer === null && error === null)) return;
      const told = {trailing: read(status.metadata)};
      done(error ? {...told, status: grpc.status[error.code], details: error.details} : {...told, answer});
    };
    const under = client[one.method](one.request, metadata, options, (failed, got) => {
      error = failed;
      answer = got || null;
      finish();
    });
    under.on('status', (ended) => { status = ended; finish(); });
    if (one.cancel) under.cancel();
  });
}

async function main() {
  const clients = {}, found = [];
  for (const one of task.calls) {
    if (!clients[one.service]) clients[one.service] = new (load(one.proto, one.service))(task.address, credentials);
    found.push(await call(clients[one.service], one));
  }
  for (const client of Object.values(clients)) client.close();
  process.stdout.write(JSON.stringify(found));
}

main().catch((error) => { console.error(error); process.exit(1); });
