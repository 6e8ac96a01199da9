// A model provider for LiteLLM. It answers "word 1 word 2 …", and streams one word per 100 ms.
//
//   node model.mjs <port>
//
// The last message contains the number of words.

import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

const PACE = 100;

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

function chunk(model, delta, reason = null) {
  return { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model, choices: [{ index: 0, delta, finish_reason: reason }] };
}

async function stream(response, model, words) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (data) => response.write(`data: ${data}\n\n`);
  for (const content of words) {
    send(JSON.stringify(chunk(model, { role: 'assistant', content })));
    await pause(PACE);
  }
  send(JSON.stringify(chunk(model, {}, 'stop')));
  send('[DONE]');
  response.end();
}

const server = createServer(async (request, response) => {
  // LiteLLM also sends health checks.
  if (request.method !== 'POST') return response.writeHead(404).end();
  const { model, messages, stream: streams } = await read(request);
  const words = Array.from({ length: Number(messages.at(-1).content) }, (_, index) => `word ${index + 1} `);
  if (streams) return stream(response, model, words);
  const choices = [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: words.join('') } }];
  const usage = { prompt_tokens: 1, completion_tokens: words.length, total_tokens: words.length + 1 };
  return response.writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', created: 1, model, choices, usage }));
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log(JSON.stringify({ listening: server.address().port })));
