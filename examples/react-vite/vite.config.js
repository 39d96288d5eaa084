import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  // Relative addresses, so that the built page works wherever it is put.
  base: './',
  plugins: [react()],
  // The client is linked from a folder that has a React of its own for its tests; two of them in one page do not work.
  resolve: { dedupe: ['react'] },
});
