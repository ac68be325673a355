"""The nets shared by all methods: each file registers builders under `sefar_bench.backbones`."""
