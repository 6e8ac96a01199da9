// Simulates outages: passes requests, delays them until `resume`, responds with 503, or loses or holds the next answer to a POST.

export function createGate() {
  let mode = 'open';
  let pending = [];
  return {
    pass(req, res, serve) {
      if (mode === 'open') serve();
      else if (mode === 'lose') {
        if (req.method === 'POST') {
          mode = 'open';
          res.end = () => req.socket.destroy();
        }
        serve();
      } else if (mode === 'hold') {
        if (req.method === 'POST') {
          mode = 'open';
          const end = res.end.bind(res);
          res.end = (...body) => pending.push({ res, serve: () => end(...body) });
        }
        serve();
      } else if (mode === 'error') res.writeHead(503, { 'retry-after': '1' }).end('unavailable');
      else pending.push({ res, serve });
    },
    pause(how) {
      mode = ['error', 'lose', 'hold'].includes(how) ? how : 'hang';
    },
    resume() {
      mode = 'open';
      const delayed = pending;
      pending = [];
      // The client may have closed the connection meanwhile.
      for (const { res, serve } of delayed) if (!res.destroyed) serve();
    },
  };
}
