// openai for Node, unmodified: a response that the provider keeps, from its creation to its end.
import OpenAI from "openai";

const [model, apiKey] = process.argv.slice(2);
const { responses } = new OpenAI({ apiKey, maxRetries: 0 });
const first = await responses.create({ model, input: "Hello" });
const read = await responses.retrieve(first.id, { include: ["message.output_text.logprobs"] });
const items = await responses.inputItems.list(first.id, { limit: 5 });
const stream = responses.stream({ model, input: "Go on", previous_response_id: first.id });
const second = await stream.finalResponse();
const cancelled = await responses.cancel(first.id).catch((error) => error.status);
await responses.delete(first.id);
const gone = await responses.retrieve(first.id).catch((error) => [error.status, error.message]);
const lost = await responses
  .create({ model, input: "Go on", previous_response_id: first.id })
  .catch((error) => [error.status, error.code, error.param]);
console.log(
  JSON.stringify({
    id: first.id,
    isRead: read.output_text === first.output_text && read.model === model,
    items: items.data.map((item) => item.content[0].text),
    isLonger: second.usage.input_tokens > first.usage.total_tokens,
    cancelled,
    gone,
    lost,
  }),
);
