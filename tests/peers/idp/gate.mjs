// Simulates outages: passes requests, holds them without an answer, or answers 503.

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
      // The client may have closed the connection meanwhile.
      for (const { res, serve } of waiting) if (!res.destroyed) serve();
    },
  };
}
