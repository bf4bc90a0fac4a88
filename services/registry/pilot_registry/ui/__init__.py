"""Pages for a browser: server-rendered, without JavaScript, assets from the wheel."""
