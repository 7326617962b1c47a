import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

import { tokensPlugin } from './vite-tokens.ts';

export default defineConfig({
  plugins: [tokensPlugin, react()],
  build: {
    target: 'es2022',
    // The content security policy knows no data: fonts and no inline scripts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
  },
  server: {
    host: '127.0.0.1',
    port: 5173,
    strictPort: true,
    proxy: { '/api': { target: 'http://127.0.0.1:7800', ws: true } },
  },
  test: { environment: 'jsdom', include: ['src/**/*.test.{ts,tsx}'] },
});
