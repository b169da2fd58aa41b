"""What tests of several parts share: interpreters, layer trees, AWS's emulator, an OTLP receiver that is not ours."""
