"""OpenAI's client for Python asks a question, and prints a line of JSON for each piece of the answer as it comes.

    OPENAI_API_KEY=… python openai_client.py <base-url> <model> <question> [stream]

The last line is {"text", "pieces"}, or {"status"} of what was refused."""

import json
import sys

import openai

base_url, model, content = sys.argv[1:4]
client = openai.OpenAI(base_url=base_url, max_retries=0)
question = {"model": model, "messages": [{"role": "user", "content": content}]}


def say(**line):
    print(json.dumps(line), flush=True)


try:
    pieces = []
    if len(sys.argv) > 4:
        for part in client.chat.completions.create(**question, stream=True):
            piece = part.choices[0].delta.content if part.choices else None
            if piece:
                pieces.append(piece)
                say(piece=piece)
    else:
        pieces.append(client.chat.completions.create(**question).choices[0].message.content)
    say(text="".join(pieces), pieces=len(pieces))
except openai.APIStatusError as error:
    say(status=error.status_code)
