// npm's certified oidc-provider on loopback, with a back door on standard input: the accounts that it knows.
// node server.mjs '{"port": 1, "clients": [...], "accounts": {"sub": {"email": ..}}}'; prints "ready" when it is.
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const { port, clients, accounts } = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients,
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], amr: null },
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, sub) =>
    accounts[sub] && { accountId: sub, claims: () => ({ sub, email_verified: true, ...accounts[sub] }) },
  pkce: { required: () => true },
});

// Whoever arrives says in a header which account they are: there is no page to click on.
const answer = provider.callback();
createServer(async (request, response) => {
  const interaction = /^\/interaction\//.test(request.url);
  if (!interaction) return answer(request, response);
  try {
    const details = await provider.interactionDetails(request, response);
    const accountId = request.headers["x-account"];
    let { grantId } = details;
    const grant = grantId
      ? await provider.Grant.find(grantId)
      : new provider.Grant({ accountId, clientId: details.params.client_id });
    grant.addOIDCScope("openid email profile");
    grantId = await grant.save();
    const login = { accountId, amr: ["pwd", "otp"] };
    await provider.interactionFinished(request, response, { login, consent: { grantId } }, {
      mergeWithLastSubmission: false,
    });
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
}).listen(port, "127.0.0.1", () => console.log("ready"));
