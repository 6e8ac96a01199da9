// Lets requests through, holds them unanswered, or answers 503: how an identity provider fails.

export function createGate() {
  let mode = 'open';
  let held = [];
  return {
    pass(req, res, serve) {
      if (mode === 'open') serve();
      else if (mode === 'error') res.writeHead(503, { 'retry-after': '1' }).end('unavailable');
      else held.push({ res, serve });
    },
    pause(how) {
      mode = how === 'error' ? 'error' : 'hang';
    },
    resume() {
      mode = 'open';
      const waiting = held;
      held = [];
      // Who hung up meanwhile no longer wants an answer.
      for (const { res, serve } of waiting) if (!res.destroyed) serve();
    },
  };
}
