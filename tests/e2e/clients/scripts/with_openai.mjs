// openai for Node, unmodified: `chat` with its tool runner, `responses` with a loop of ours.
import OpenAI from "openai";

const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const description = "The weather in a city.";
const weather = ({ city }) => `sunny in ${city}`;

async function chat(client, model, content, tools) {
  const request = { model, messages: [{ role: "user", content }], reasoning_effort: "low" };
  if (!tools) {
    const stream = client.chat.completions.stream(request);
    return stream.finalContent();
  }
  const called = { name: "weather", description, parameters, parse: JSON.parse, function: weather };
  const runner = client.chat.completions.runTools({
    ...request,
    stream: true,
    tools: [{ type: "function", function: called }],
  });
  return runner.finalContent();
}

async function responses(client, model, content, tools) {
  const input = [{ role: "user", content }];
  for (;;) {
    const stream = client.responses.stream({
      model,
      input,
      store: false,
      include: ["reasoning.encrypted_content"],
      reasoning: { effort: "low", summary: "auto" },
      tools: tools ? [{ type: "function", name: "weather", description, parameters }] : [],
    });
    const answer = await stream.finalResponse();
    const calls = answer.output.filter((item) => item.type === "function_call");
    if (!calls.length) return answer.output_text;
    input.push(...answer.output);
    for (const { call_id, arguments: text } of calls) {
      input.push({ type: "function_call_output", call_id, output: weather(JSON.parse(text)) });
    }
  }
}

async function whole(speaks, client, model, content) {
  if (speaks === "responses") {
    return (await client.responses.create({ model, input: content, store: false })).output_text;
  }
  const messages = [{ role: "user", content }];
  return (await client.chat.completions.create({ model, messages })).choices[0].message.content;
}

async function firstWords(speaks, client, model, content) {
  if (speaks === "chat") {
    const request = { model, messages: [{ role: "user", content }], stream: true };
    for await (const chunk of await client.chat.completions.create(request)) {
      const text = chunk.choices[0]?.delta.content;
      if (text) return text;
    }
  }
  for await (const event of await client.responses.create({ model, input: content, stream: true })) {
    if (event.type === "response.output_text.delta") return event.delta;
  }
}

for (const part of process.argv.slice(2)) {
  const [speaks, model, apiKey] = part.split("=");
  const client = new OpenAI({ apiKey, maxRetries: 0 });
  const ask = (content, tools) => (speaks === "chat" ? chat : responses)(client, model, content, tools);
  const text = await ask("Say hello.");
  const again = await whole(speaks, client, model, "Again.");
  const tools = await ask("How is the weather in Paris and in Rome?", true);
  const refusal = await ask("Too much.").catch(({ name, message }) => `${name}: ${message}`);
  const cancelled = await firstWords(speaks, client, model, "Count.");
  console.log(JSON.stringify({ text, whole: again, tools, refusal, cancelled }));
}
