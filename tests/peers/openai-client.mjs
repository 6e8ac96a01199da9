// Sends a chat request with OpenAI's client for JavaScript, and prints a line of JSON for each received chunk.
//
//   OPENAI_API_KEY=… node openai-client.mjs <base-url> <model> <message> [stream]
//
// The last line is {"text", "pieces"}, or {"status"} if the request fails.

import OpenAI from 'openai';

const [baseURL, model, content, stream] = process.argv.slice(2);
const client = new OpenAI({ baseURL, maxRetries: 0 });
const request = { model, messages: [{ role: 'user', content }] };
const print = (line) => console.log(JSON.stringify(line));

try {
  const pieces = [];
  if (stream) {
    for await (const part of await client.chat.completions.create({ ...request, stream: true })) {
      const piece = part.choices[0]?.delta?.content;
      if (piece) {
        pieces.push(piece);
        print({ piece });
      }
    }
  } else {
    pieces.push((await client.chat.completions.create(request)).choices[0].message.content);
  }
  print({ text: pieces.join(''), pieces: pieces.length });
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  print({ status: error.status });
}
