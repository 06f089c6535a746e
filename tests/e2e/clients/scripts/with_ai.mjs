// The Vercel AI SDK, unmodified: `chat`, `responses` or `messages` below the same functions.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const speaks = process.argv[2];
const openai = () => createOpenAI({ baseURL: process.env.OPENAI_BASE_URL });
const models = {
  chat: (name) => openai().chat(name),
  responses: (name) => openai()(name),
  messages: (name) => createAnthropic({ baseURL: process.env.OPENAI_BASE_URL })(name),
};
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => `sunny in ${city}`,
});

function ask(prompt, more) {
  let fault;
  const result = streamText({
    model: models[speaks](process.env.MODEL),
    maxOutputTokens: 4000,
    maxRetries: 0,
    stopWhen: isStepCount(3),
    providerOptions: {
      openai: { store: false, include: ["reasoning.encrypted_content"], forceReasoning: true },
      anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } },
    },
    onError: ({ error }) => (fault = error),
    prompt,
    ...more,
  });
  return Promise.resolve(result.text).catch(() => {
    throw fault;
  });
}

async function firstWords(prompt) {
  const abort = new AbortController();
  let words;
  const onChunk = ({ chunk }) => {
    if (chunk.type !== "text-delta" || words) return;
    words = chunk.text;
    abort.abort();
  };
  await ask(prompt, { abortSignal: abort.signal, onChunk }).catch(() => undefined);
  return words;
}

const text = await ask("Say hello.");
const tools = await ask("How is the weather in Paris and in Rome?", { tools: { weather } });
const refusal = await ask("Too much.").catch((error) => `${error.constructor.name}: ${error.message}`);
const cancelled = await firstWords("Count.");
console.log(JSON.stringify({ text, tools, refusal, cancelled }));
