"""What is held of a release while something is done to it under a load of checks and logins."""

from case import Case
from world import PEOPLE

SESSIONS, TRIES = 12, 3
GOOD = {"gateway 200", "service 200", "login done", "check after login 200"}


class UnderLoad(Case):
    """For test cases with `self.door`, a release behind its gateway."""

    def under_load(self, what, action):
        """Does it, and holds that nobody was signed out, no login was lost, and nothing else failed meanwhile. Where the
        machine was so busy that Redis didn't answer for seconds, nothing is learnt of the action: it is done again."""
        for _ in range(TRIES):
            failed, counts = self.counted(what, action)
            # Nothing excuses these.
            self.assertEqual([end for end in counts if end.endswith((" 401", " 403", " as another"))], [])
            if not failed or not self.store_was_away():
                break
            self.say(f"the store was away meanwhile; once more, after {failed}")
        self.assertEqual(failed, [])
        self.assertEqual(set(counts), GOOD)

    def counted(self, what, action):
        sessions = self.door.sessions(PEOPLE, SESSIONS)
        service = f"{self.door.fullname}-check"
        load = self.door.world.driver.until_told("load", door=self.door.way, sessions=sessions, people=PEOPLE, service=service,
                                                 gateways=3, directs=2, logins=2)
        with load:
            self.assertIn("started", load.line())
            action()
            *failed, end = load.end()
        self.say(f"{what}: {end['counts']} in {end['seconds']:.0f} s")
        return failed, end["counts"]

    def store_was_away(self):
        return any("redis not responding" in self.door.logs(pod) for pod in self.door.pods())

    def rolled(self, action):
        """Does it, and holds that every pod is another than before."""
        before = self.door.names()
        action()
        self.door.until_gone(before)
        self.assertEqual(len(self.door.pods()), len(before))

    def restart(self):
        deployment = f"deployment/{self.door.fullname}"
        self.door.namespace.run("rollout", "restart", deployment)
        self.door.namespace.rolled_out("deployment", self.door.fullname)
