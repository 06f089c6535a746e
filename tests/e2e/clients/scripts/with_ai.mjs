// The Vercel AI SDK, unmodified: `chat`, `responses` or `messages` below the same functions.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

const baseURL = process.env.OPENAI_BASE_URL;
const models = {
  chat: (name, apiKey) => createOpenAI({ baseURL, apiKey }).chat(name),
  responses: (name, apiKey) => createOpenAI({ baseURL, apiKey })(name),
  messages: (name, apiKey) => createAnthropic({ baseURL, apiKey })(name),
};
const weather = tool({
  description: "The weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }) => `sunny in ${city}`,
});

function ask(model, prompt, more) {
  let fault;
  const result = streamText({
    model,
    maxOutputTokens: 4000,
    maxRetries: 0,
    stopWhen: isStepCount(4),
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

async function firstWords(model, prompt) {
  const abort = new AbortController();
  let words;
  const onChunk = ({ chunk }) => {
    if (chunk.type !== "text-delta" || words) return;
    words = chunk.text;
    abort.abort();
  };
  await ask(model, prompt, { abortSignal: abort.signal, onChunk }).catch(() => undefined);
  return words;
}

for (const part of process.argv.slice(2)) {
  const [speaks, name, apiKey] = part.split("=");
  const model = models[speaks](name, apiKey);
  const text = await ask(model, "Say hello.");
  const whole = await generateText({ model, maxOutputTokens: 4000, maxRetries: 0, prompt: "Again." });
  const tools = await ask(model, "How is the weather in Paris and in Rome?", { tools: { weather } });
  const refusal = await ask(model, "Too much.").catch(({ name, message }) => `${name}: ${message}`);
  const cancelled = await firstWords(model, "Count.");
  console.log(JSON.stringify({ text, whole: whole.text, tools, refusal, cancelled }));
}
