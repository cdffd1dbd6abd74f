"""``vllm``: causal language models on vLLM's offline engine."""
