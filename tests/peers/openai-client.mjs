// OpenAI's client for JavaScript asks a question, and prints a line of JSON for each piece of the answer as it comes.
//
//   OPENAI_API_KEY=… node openai-client.mjs <base-url> <model> <question> [stream]
//
// The last line is {"text", "pieces"}, or {"status"} of what was refused.

import OpenAI from 'openai';

const [baseURL, model, content, stream] = process.argv.slice(2);
const client = new OpenAI({ baseURL, maxRetries: 0 });
const question = { model, messages: [{ role: 'user', content }] };
const say = (line) => console.log(JSON.stringify(line));

try {
  const pieces = [];
  if (stream) {
    for await (const part of await client.chat.completions.create({ ...question, stream: true })) {
      const piece = part.choices[0]?.delta?.content;
      if (piece) {
        pieces.push(piece);
        say({ piece });
      }
    }
  } else {
    pieces.push((await client.chat.completions.create(question)).choices[0].message.content);
  }
  say({ text: pieces.join(''), pieces: pieces.length });
} catch (error) {
  if (!(error instanceof OpenAI.APIError)) throw error;
  say({ status: error.status });
}
