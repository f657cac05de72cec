// One command of somebody who uses the acme-client package: `main.mjs FOLDER COMMAND ...`.
//
// FOLDER keeps the account's key and URL and the certificates from one run to the next. The environment says where the
// CA is (DIRECTORY) and where challenges are answered: WEB, a folder that is served; DNS, the management interface of
// the test DNS; ALPN, a port. NODE_EXTRA_CA_CERTS names the CA of the https endpoint.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createServer } from "node:tls";
import acme from "acme-client";

const { DIRECTORY, WEB, DNS, ALPN } = process.env;
const [folder, command, ...words] = process.argv.slice(2);
const inFolder = (name) => join(folder, name);
const read = (name) => readFileSync(inFolder(name), "utf8");
const keep = (name, text) => writeFileSync(inFolder(name), text);

function client(externalAccountBinding) {
    const accountUrl = existsSync(inFolder("account.url")) ? read("account.url") : undefined;
    return new acme.Client({
        directoryUrl: DIRECTORY,
        accountKey: read("account.key"),
        accountUrl,
        externalAccountBinding,
        backoffMin: 200,
        backoffMax: 1000,
    });
}

async function tell(name, body) {
    const answer = await fetch(`${DNS}/${name}`, { method: "POST", body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
}

// Puts the answer in its place, and gives back how to take it away.
async function answer(authorization, challenge, keyAuthorization) {
    const name = authorization.identifier.value;
    switch (challenge.type) {
        case "http-01":
            writeFileSync(join(WEB, challenge.token), keyAuthorization);
            return () => {};
        case "dns-01": {
            const host = `_acme-challenge.${name}.`;
            await tell("set-txt", { host, value: keyAuthorization });
            return () => tell("clear-txt", { host });
        }
        case "tls-alpn-01": {
            const [key, cert] = await acme.crypto.createAlpnCertificate(authorization, keyAuthorization);
            const server = createServer({ key, cert, ALPNProtocols: ["acme-tls/1"] });
            await new Promise((resolve) => server.listen(Number(ALPN), "127.0.0.1", resolve));
            return () => server.close();
        }
        default:
            throw new Error(`no answer for ${challenge.type}`);
    }
}

const commands = {
    async register(mail, kid, hmacKey) {
        keep("account.key", await acme.crypto.createPrivateEcdsaKey());
        const registering = client(kid === undefined ? undefined : { kid, hmacKey });
        await registering.createAccount({ termsOfServiceAgreed: true, contact: [`mailto:${mail}`] });
        keep("account.url", registering.getAccountUrl());
    },

    async contact(mail) {
        await client().updateAccount({ contact: [`mailto:${mail}`] });
    },

    async rollover() {
        const key = await acme.crypto.createPrivateEcdsaKey();
        await client().updateAccountKey(key);
        keep("account.key", key);
    },

    // FILE, the challenge type, "ec" or "rsa", the profile or "-", and the names.
    async issue(file, kind, keyType, profile, ...names) {
        const issuing = client();
        const identifiers = names.map((value) => ({ type: "dns", value }));
        const order = await issuing.createOrder(profile === "-" ? { identifiers } : { identifiers, profile });
        for (const authorization of await issuing.getAuthorizations(order)) {
            if (authorization.status === "valid") continue;
            const challenge = authorization.challenges.find((offered) => offered.type === kind);
            const keyAuthorization = await issuing.getChallengeKeyAuthorization(challenge);
            const clear = await answer(authorization, challenge, keyAuthorization);
            await issuing.completeChallenge(challenge);
            await issuing.waitForValidStatus(challenge);
            await clear();
        }
        const ownKey =
            keyType === "rsa"
                ? await acme.crypto.createPrivateRsaKey(2048)
                : await acme.crypto.createPrivateEcdsaKey();
        const [key, csr] = await acme.crypto.createCsr({ altNames: names }, ownKey);
        keep(`${file}.key`, key);
        keep(`${file}.pem`, await issuing.getCertificate(await issuing.finalizeOrder(order, csr)));
    },

    async revoke(file, reason) {
        await client().revokeCertificate(read(`${file}.pem`), { reason: Number(reason) });
    },

    async deactivate() {
        await client().updateAccount({ status: "deactivated" });
    },
};

await commands[command](...words);
