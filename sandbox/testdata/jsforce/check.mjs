// Drives the sandbox with jsforce: sign-in, pages, the Recycle Bin, the existence
// check. Prints one JSON object; the Go test that started it judges the numbers.
import jsforce from "jsforce";

const { SANDBOX_URL: loginUrl, CLIENT_ID: clientId, CLIENT_SECRET: clientSecret } = process.env;
const [known, deleted, missing] = process.argv.slice(2);

const conn = new jsforce.Connection({ oauth2: { loginUrl, clientId, clientSecret }, version: "67.0" });
await conn.authorize({ grant_type: "client_credentials" });

// A second connection knows the token only, as after a sign-in elsewhere.
const byToken = new jsforce.Connection({ instanceUrl: conn.instanceUrl, accessToken: conn.accessToken, version: "67.0" });

const first = await byToken.query("SELECT Id FROM Account");
const second = await byToken.queryMore(first.nextRecordsUrl);
const all = await byToken.query("SELECT Id, IsDeleted FROM Account", { autoFetch: true, maxFetch: 100000, scanAll: true });
const named = await byToken.sobject("Account").find({ Id: known }, ["Id", "Name"]);
const retrieved = await byToken.retrieve("Account", [known, deleted, missing], { fields: ["Id"] });
const described = await byToken.retrieve("Account", [known]);

let unknownField = "";
try {
  await byToken.query("SELECT Nope FROM Account");
} catch (err) {
  unknownField = err.errorCode;
}
const identity = await byToken.identity();
const limits = await byToken.limits();

console.log(JSON.stringify({
  firstPage: first.records.length,
  totalSize: first.totalSize,
  secondPage: second.records.length,
  done: second.done,
  all: all.records.length,
  deleted: all.records.filter((r) => r.IsDeleted).length,
  named: named.map((r) => r.Id),
  retrieved: retrieved.map((r) => (r ? r.Id : null)),
  described: described[0].Name !== undefined,
  unknownField,
  organization: identity.organization_id,
  apiUsage: byToken.limitInfo.apiUsage,
  maxRequests: limits.DailyApiRequests.Max,
}));
