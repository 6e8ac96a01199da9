"""Sends a chat request with OpenAI's client for Python, and prints a line of JSON for each received chunk.

    OPENAI_API_KEY=… python openai_client.py <base-url> <model> <message> [stream]

The last line is {"text", "pieces"}, or {"status"} if the request fails."""

import json
import sys

import openai

base_url, model, content = sys.argv[1:4]
client = openai.OpenAI(base_url=base_url, max_retries=0)
request = {"model": model, "messages": [{"role": "user", "content": content}]}


def print_line(**line):
    print(json.dumps(line), flush=True)


try:
    pieces = []
    if len(sys.argv) > 4:
        for part in client.chat.completions.create(**request, stream=True):
            piece = part.choices[0].delta.content if part.choices else None
            if piece:
                pieces.append(piece)
                print_line(piece=piece)
    else:
        pieces.append(client.chat.completions.create(**request).choices[0].message.content)
    print_line(text="".join(pieces), pieces=len(pieces))
except openai.APIStatusError as error:
    print_line(status=error.status_code)
