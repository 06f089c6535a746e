"""Amazon Bedrock's Converse, as upstreams speak it: no client does."""
