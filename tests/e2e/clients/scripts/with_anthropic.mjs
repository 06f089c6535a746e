// @anthropic-ai/sdk, unmodified, with its tool runner.
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";

const weather = betaTool({
  name: "weather",
  description: "The weather in a city.",
  inputSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  run: ({ city }) => `sunny in ${city}`,
});
const said = (message) => message.content.findLast((block) => block.type === "text").text;

async function firstWords(client, request) {
  for await (const event of await client.messages.create({ ...request, stream: true })) {
    if (event.delta?.type === "text_delta") return event.delta.text;
  }
}

for (const part of process.argv.slice(2)) {
  const [, model, apiKey] = part.split("=");
  const client = new Anthropic({ apiKey, maxRetries: 0 });
  const request = (content) => ({
    model,
    max_tokens: 4000,
    thinking: { type: "enabled", budget_tokens: 1024 },
    messages: [{ role: "user", content }],
  });
  const ask = async (content) => said(await client.messages.stream(request(content)).finalMessage());
  const text = await ask("Say hello.");
  const whole = said(await client.messages.create(request("Again.")));
  const runner = client.beta.messages.toolRunner({
    ...request("How is the weather in Paris and in Rome?"),
    stream: true,
    tools: [weather],
  });
  const tools = said(await runner.runUntilDone());
  const refusal = await ask("Too much.").catch(({ name, message }) => `${name}: ${message}`);
  const cancelled = await firstWords(client, request("Count."));
  console.log(JSON.stringify({ text, whole, tools, refusal, cancelled }));
}
