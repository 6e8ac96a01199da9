"""Local accounts without an identity provider: the bootstrap invitation from a pod, as in docs/kubernetes.md."""

import base64
import json
import re

import release
import fleet
from case import Case
from release import Release

EMAIL, PASSWORD = "ada@example.com", "violin-otter-97-gravel"
INVITE = ["vestibule", "invite", "--role", "proxy_admin", "--email", EMAIL,
          "--config", "/etc/vestibule/config/vestibule.yaml"]


def door():
    def make():
        within = release.door().fleet
        made = Release(within, "people", replicaCount=2,
                       config={"store": {"key_prefix": "vestibule:people:"}, "providers": [],
                               "local_accounts": {"enabled": True}},
                       roleMap={"document": {"version": 1}, "fragments": {"selector": ""}})
        made.install()
        return made

    return fleet.once("people", make)


class LocalAccounts(Case):
    def setUp(self):
        self.door = door()

    def ask(self, pod, port, path, body=None, **headers):
        address = pod["status"]["podIP"]
        if body is not None:
            headers, body = {"content-type": "application/json", **headers}, json.dumps(body)
        return self.door.fleet.driver.ask(f"http://{address}:{port}{path}", method="POST" if body else "GET", headers=headers,
                                          body=body)

    def test_the_bootstrap_invitation_of_one_pod_is_accepted_on_another(self):
        [one, other] = self.door.until_ready(2)
        said = self.door.namespace.run("exec", one["metadata"]["name"], "--container", "vestibule", "--", *INVITE)
        link = re.search(re.escape(fleet.PUBLIC_URL) + r"/onboarding\?invite_link=(\S+)", said)[1]

        opened = json.loads(self.ask(other, 4180, f"/onboarding/get_token?invite_link={link}")["body"])
        claim = {"invitation_link": link, "user_id": payload(opened["token"])["user_id"], "password": PASSWORD, "key": True}
        claimed = self.ask(one, 4180, "/onboarding/claim_token", claim, authorization=f"Bearer {opened['token']}")
        self.assertEqual(claimed["status"], 200, claimed)
        claimed = json.loads(claimed["body"])
        self.assertEqual((claimed["user_email"], claimed["user_role"]), (EMAIL, "proxy_admin"))

        question = {"x-original-url": f"{fleet.PUBLIC_URL}/v1/models", "x-original-method": "GET",
                    "x-vestibule-gateway-secret": self.door.fleet.gateway_secret}
        for pod in (one, other):
            answer = self.ask(pod, 4181, "/auth/nginx", authorization=f"Bearer {claimed['key']}", **question)
            self.assertEqual(answer["status"], 200, answer)
        again = self.ask(other, 4180, "/onboarding/claim_token", claim, authorization=f"Bearer {opened['token']}")
        self.assertEqual(again["status"], 401, "the link was good once")
        for secret in (link.split(".")[1], PASSWORD, claimed["key"]):
            self.assertNotIn(secret, self.door.logs(one) + self.door.logs(other), "a secret is in the log")


def payload(token):
    """The claims of a JWT, without verification."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
